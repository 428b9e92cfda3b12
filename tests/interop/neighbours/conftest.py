"""What the neighbours' tests share: issuers on a real OpenBao, ended with the module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.interop.neighbours import xrootd
from tests.interop.neighbours.issuer_world import IssuerWorld
from tests.interop.neighbours.pages import communities
from tests.interop.neighbours.xrootd import XrootdServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

# The client of docs/neighbours/xrootd.md.
CLIENT = "mover"


class OpenIssuer(Protocol):
    """Starts issuers that end with the module."""

    def __call__(self, community: Mapping[str, Any], name: str = "dteam") -> IssuerWorld:
        """Return a running issuer for a community: one of those that `pages.communities` gives."""


@pytest.fixture(scope="module")
def open_issuer(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, shared_openbao: OpenBaoServer
) -> Iterator[OpenIssuer]:
    """A way to issuers of communities."""
    opened: list[IssuerWorld] = []

    def open_one(community: Mapping[str, Any], name: str = "dteam") -> IssuerWorld:
        folder = tmp_path_factory.mktemp(f"issuer-of-{name}")
        opened.append(IssuerWorld(folder, authority, shared_openbao, community, name))
        opened[-1].start()
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@dataclass(frozen=True, slots=True)
class Storage:
    """Two XRootD servers, and the issuer that both trust."""

    issuer: IssuerWorld
    source: XrootdServer
    destination: XrootdServer

    def token(self, scope: str, server: XrootdServer | None = None) -> str:
        """Return a token for one of the servers, by default the source."""
        return self.issuer.token(CLIENT, scope, (server or self.source).audience)


@pytest.fixture(scope="module")
def storage(open_issuer: OpenIssuer, authority: Authority) -> Iterator[Storage]:
    """Two servers that run as docs/neighbours/xrootd.md says, with the issuer's keys at hand."""
    source, destination = XrootdServer(authority), XrootdServer(authority)
    names = {
        "https://se.example.org:8443": source.audience,
        "https://se2.example.org:8443": destination.audience,
    }
    try:
        issuer = open_issuer(communities(xrootd.PAGE, names)["dteam"])
        for server in (source, destination):
            server.trust(issuer.url)
            server.know_keys(issuer.jwks())
            server.start()
        yield Storage(issuer, source, destination)
    finally:
        source.close()
        destination.close()
