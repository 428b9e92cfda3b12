"""Who keeps which grants: 64 shards, each kept by one replica that lives.

A grant's shard is the first letter of its segment, which is a hash in base64url. A shard's keeper is
the replica whose name weighs most beside the shard's number (rendezvous hashing): everybody finds
the same without asking, and when a replica comes or goes only its own shards change hands. Replicas
that see different neighbours may keep a shard twice; that is harmless, since all goes by claims.
"""

from __future__ import annotations

import hashlib
from typing import Collection

# RFC 4648 section 5; in the order of their codes, as a store lists them.
_LETTERS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

SHARDS = len(_LETTERS)


def shard_of(segment: str) -> int:
    """Return the shard of the grant kept under `segment`: 0 to 63, for whatever text."""
    return _LETTERS.find(segment[:1]) % SHARDS


def keeper_of(shard: int, replicas: Collection[str]) -> str:
    """Return the name of the replica that keeps `shard`, out of at least one."""
    return max(replicas, key=lambda name: (_weight(shard, name), name))


def shards_of(replica: str, live: Collection[str]) -> frozenset[int]:
    """Return the shards that `replica` keeps beside the `live` ones, itself among them or not."""
    replicas = {replica, *live}
    return frozenset(shard for shard in range(SHARDS) if keeper_of(shard, replicas) == replica)


def _weight(shard: int, name: str) -> bytes:
    return hashlib.sha256(f"{shard} {name}".encode()).digest()
