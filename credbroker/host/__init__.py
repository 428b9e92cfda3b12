"""Lends the machine to the rest: time, chance, outgoing HTTP, readiness."""
