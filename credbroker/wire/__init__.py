"""Turns bytes and fields into domain values and back, purely; the only rooms that know formats."""
