"""Tests of credbroker.edge.sessions."""
