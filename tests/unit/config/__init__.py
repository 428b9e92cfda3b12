"""Tests of `credbroker.config`."""
