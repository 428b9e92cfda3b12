"""Puts a token, or a lease, where it is read: whole, private, owned, or not at all."""
