"""Tests of `credbroker.wire`."""
