"""Tests of the development issuer without sockets."""
