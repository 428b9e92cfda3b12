"""Hosts that show who they are, and the standing orders that go to them."""
