"""Tests of credbroker.client."""
