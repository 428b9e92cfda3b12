"""The issuer that the broker is itself: what it signs, for whom, and what it takes back."""
