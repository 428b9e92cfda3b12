"""Talks to whoever signs tokens."""
