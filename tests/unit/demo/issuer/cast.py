"""Who appears in these tests."""

from __future__ import annotations

from credbroker.demo.issuer.settings import Client, Person

ALICE = Person(
    "alice", "alice's word", groups=("/cms", "/cms/users"), optional_groups=("/cms/prod",)
)
BROKER = Client("broker", "broker's word")
OTHER = Client("other", "other's word")
PUBLIC = Client("public")
