"""Tests of credbroker.cli."""
