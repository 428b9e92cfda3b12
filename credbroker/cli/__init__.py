"""Lets a person log in, get tokens, see how their logins stand, and log out."""
