"""Tests of credbroker.telemetry."""
