"""Runs where the work runs and keeps its token files fresh: a job's, an access point's, those of a host's people and services."""
