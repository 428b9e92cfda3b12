"""Tokens for the people of a login host, from the moment they log in, as each of them ordered."""
