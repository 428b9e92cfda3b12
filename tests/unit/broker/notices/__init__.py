"""Notices: what is due, to whom, once, whatever fails on the way."""
