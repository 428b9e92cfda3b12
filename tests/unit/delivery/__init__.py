"""Tests of credbroker.delivery."""
