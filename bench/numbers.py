"""Writes numbers for people."""

from __future__ import annotations


def number(value: float) -> str:
    """Write a number with thousands set apart and no more digits than it is good for."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.4g}"
