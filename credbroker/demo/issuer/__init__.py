"""A small OIDC issuer that signs for real and misbehaves on request.

`credbroker demo` logs people in with it, and the tests use it as the issuer whose conduct is known.
It follows INDIGO IAM where IAM and the RFCs differ, and `serve` never loads it. Everything is kept
in memory and answered in one event loop step, so two requests never see half of each other.

The grants are written out here rather than taken from a library: an authorization-server framework
keeps people from doing exactly what this issuer is for (answers lost after acting, refresh-token
families that die on reuse, tokens wider than asked), and the honest paths are short.
"""

from __future__ import annotations

from credbroker.demo.issuer import faults
from credbroker.demo.issuer.faults import Endpoint
from credbroker.demo.issuer.journal import Entry
from credbroker.demo.issuer.keys import SigningKeys
from credbroker.demo.issuer.server import DevIssuer
from credbroker.demo.issuer.settings import (
    ALL_GRANTS,
    ANY_AUDIENCE,
    TOKEN_EXCHANGE,
    Client,
    DeadAnswer,
    IssuerSettings,
    Lifetimes,
    Person,
    RefreshPolicy,
)
from credbroker.demo.issuer.state import Snapshot

__all__ = [
    "ALL_GRANTS",
    "ANY_AUDIENCE",
    "TOKEN_EXCHANGE",
    "Client",
    "DeadAnswer",
    "DevIssuer",
    "Endpoint",
    "Entry",
    "IssuerSettings",
    "Lifetimes",
    "Person",
    "RefreshPolicy",
    "SigningKeys",
    "Snapshot",
    "faults",
]
