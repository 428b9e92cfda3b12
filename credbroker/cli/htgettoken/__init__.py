"""Stands in for htgettoken and its companions: their words, their files, their exit codes."""
