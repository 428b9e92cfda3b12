"""Tests of `credbroker.issuers`."""
