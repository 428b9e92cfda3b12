"""What a type cannot say of the settings of our own communities: each fault with its key.

A fault of a scope, an audience or a lifetime is found before anything is served: such a line would
else refuse one service for ever, or widen it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from urllib.parse import urlsplit

from credbroker.config.communities import Community, ServiceClient
from credbroker.config.schema import Settings
from credbroker.domain.audiences import allowing, check_audience, check_pattern
from credbroker.domain.clients import check_client_id
from credbroker.domain.errors import Malformed, ScopeRefused
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.names import check_short_name
from credbroker.domain.policy import check_signable
from credbroker.domain.scopes import ScopeSet

Finding = tuple[str, str]

RESERVED = frozenset(
    {".well-known", "api", "health", "htgettokenopts.txt", "livez", "login", "metrics", "mine", "readyz", "v1"}
)  # fmt: skip
"""What the broker itself serves; no community's path may begin so."""

_PATH = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._~-]*)+/\Z")


def community_findings(settings: Settings) -> list[Finding]:
    """Return every fault of the communities and of what names one: (key, what is wrong)."""
    found = list(_paths(settings.communities))
    for name, community in settings.communities.items():
        at = f"$.communities.{name}"
        found += _checked(at, partial(check_short_name, "community"), name)
        found += [(f"{at}{key}", why) for key, why in _faults(community, settings)]
    found += [
        (f"$.issuers.{name}.signed_by", "no community of this name is set up")
        for name, issuer in settings.issuers.items()
        if issuer.signed_by is not None and issuer.signed_by not in settings.communities
    ]
    return found + list(_upstream_faults(settings))


def _upstream_faults(settings: Settings) -> Iterator[Finding]:
    """Find people without rules, those of two communities, and where one `sub` may mean two people."""
    yield from _two_communities(settings)
    for name, community in settings.communities.items():
        upstreams = [one for one, issuer in settings.issuers.items() if issuer.signed_by == name]
        if upstreams and community.rights_folder is None:
            yield f"$.communities.{name}.rights_folder", f"the people of {upstreams[0]} need rules"
        if community.bridge is not None:
            upstreams.append(community.bridge.upstream)
        for one in upstreams:
            issuer = settings.issuers.get(one)
            if issuer is not None and issuer.client_id in community.clients:
                why = (
                    f"this is the broker's client_id at {one}, which stands in tokens of its people"
                )
                yield f"$.communities.{name}.clients.{issuer.client_id}", why
        for other in sorted(set(upstreams) - {upstreams[0]} if upstreams else ()):
            why = f"it signs for the people of {upstreams[0]} already; a sub is of one issuer only"
            yield f"$.communities.{name}", f"{why}, and {other} has others"


def _two_communities(settings: Settings) -> Iterator[Finding]:
    """Find bridges to issuers whose people another community signs for, in an outage or always."""
    by = {
        name: one.signed_by for name, one in settings.issuers.items() if one.signed_by is not None
    }
    for name, community in settings.communities.items():
        if community.bridge is not None:
            other = by.setdefault(community.bridge.upstream, name)
            if other != name:
                why = f"the community {other} signs for its people already"
                yield f"$.communities.{name}.bridge.upstream", why


def _paths(communities: dict[str, Community]) -> Iterator[Finding]:
    """Find addresses that cannot be served, or not beside each other."""
    paths = {name: _path(one.url) for name, one in communities.items()}
    for name, path in paths.items():
        at = f"$.communities.{name}.url"
        if not communities[name].url.endswith("/"):
            yield at, "this must end with a slash, as it does in every token"
        elif not _PATH.match(path):
            yield at, "this needs a path of its own, such as https://host:8200/dteam/"
        elif path.split("/")[1] in RESERVED:
            yield at, "the broker itself serves what lies below this path"
    for (first, one), (second, other) in pairwise(sorted(paths.items(), key=lambda pair: pair[1])):
        if one and other.startswith(one):
            yield f"$.communities.{second}.url", f"this lies where the community {first} is served"


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _faults(community: Community, settings: Settings) -> Iterator[Finding]:
    try:
        LifetimeTable.of(community.lifetimes)
    except ValueError as error:
        yield ".lifetimes", str(error)
    if community.keys.use_seconds < community.keys.announce_seconds:
        yield ".keys.use_seconds", "a key must sign for as long as it is announced, at least"
    for audience in community.audiences:
        yield from _checked(".audiences", check_audience, audience)
    for name, client in community.clients.items():
        at = f".clients.{name}"
        yield from _checked(at, check_client_id, name)
        yield from ((f"{at}{key}", why) for key, why in _client_faults(client))
    if community.bridge is not None:
        if community.bridge.upstream not in settings.issuers:
            yield ".bridge.upstream", "no issuer of this name is set up"
        yield from _audience_faults(".bridge.audiences", community.bridge.audiences, check_audience)


def _client_faults(client: ServiceClient) -> Iterator[Finding]:
    if (client.secret_file is None) == (client.secret_sha256 is None):
        yield "", "this needs either secret_file or secret_sha256"
    if not client.audiences:
        yield ".audiences", "name at least one"
    yield from _audience_faults(".audiences", client.audiences, check_pattern)
    yield from _scope_faults(".scopes", client.scopes)
    yield from _scope_faults(".default_scopes", client.default_scopes or [])
    yield from _outside(client)
    if "token_exchange" not in client.grants and client.exchanges_for:
        yield ".exchanges_for", "this goes with the grant token_exchange only"
    if "refresh_token" not in client.grants and client.rotates:
        yield ".rotates", "this goes with the grant refresh_token only"


def _audience_faults(
    at: str, audiences: Iterable[str], check: Callable[[str], object]
) -> Iterator[Finding]:
    for number, audience in enumerate(audiences):
        yield from _checked(f"{at}[{number}]", check, audience)


def _scope_faults(at: str, scopes: list[str]) -> Iterator[Finding]:
    for number, scope in enumerate(scopes):
        yield from _checked(f"{at}[{number}]", _check_scope, scope)


def _outside(client: ServiceClient) -> Iterator[Finding]:
    """Find defaults that the client could not ask for by name."""
    yield from _audience_faults(".default_audiences", client.default_audiences, check_audience)
    for number, audience in enumerate(client.default_audiences):
        if allowing(client.audiences, audience) is None:
            yield f".default_audiences[{number}]", "this is not one of the client's audiences"
    try:
        missing = ScopeSet.of(client.scopes).missing(ScopeSet.of(client.default_scopes or []))
    except Malformed:
        return
    if len(missing):
        yield ".default_scopes", f"not within the client's scopes: {missing}"


def _check_scope(text: str) -> None:
    check_signable(ScopeSet.of([text]))


def _checked(at: str, check: Callable[[str], object], text: str) -> Iterator[Finding]:
    try:
        check(text)
    except (Malformed, ScopeRefused) as error:
        yield at, error.sentence.rstrip(".")
