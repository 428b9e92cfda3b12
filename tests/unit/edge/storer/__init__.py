"""Tests of the storer, module by module."""
