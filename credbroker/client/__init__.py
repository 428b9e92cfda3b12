"""Asks a running credbroker over HTTPS, with nothing but the standard library."""
