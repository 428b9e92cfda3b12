"""Tests of `credbroker.domain`."""
