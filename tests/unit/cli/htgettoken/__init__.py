"""Tests of what stands in for htgettoken."""
