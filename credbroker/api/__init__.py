"""Answers HTTP: each surface takes a request apart, calls one deed, and writes the answer."""
