"""Tests of one module each, without a socket, in the same tree as the package."""
