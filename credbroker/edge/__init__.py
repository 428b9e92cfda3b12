"""Runs where the work runs and keeps its token file fresh."""
