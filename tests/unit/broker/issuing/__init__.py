"""Tests of the issuer that the broker is itself."""
