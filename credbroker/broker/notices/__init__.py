"""Tells people before their work stops, and an operator of issuers in trouble."""
