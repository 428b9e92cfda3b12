"""Tests of `credbroker.stores`."""
