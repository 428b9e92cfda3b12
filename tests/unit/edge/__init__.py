"""Tests of credbroker.edge."""
