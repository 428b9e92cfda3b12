"""Tests of `credbroker.host`."""
