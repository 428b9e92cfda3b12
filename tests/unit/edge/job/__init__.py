"""Tests of credbroker.edge.job."""
