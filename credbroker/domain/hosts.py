"""Hosts that tokens are delivered to: their names, their groups, and how each shows who it is.

- A name is compared in lower case. In a pattern `*` stands for any part of one label: it crosses no
  dot, and nothing may stand before or behind what the pattern says.
- A host proves its name by a certificate, or by a key that an operator's join token was traded for:
  a token for one name, good for ten minutes and for one key.
- What it gets for that is a session of an hour, which opens deliveries and nothing else. Of tokens,
  records keep hashes alone.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from typing import Collection, Mapping, Optional

from credbroker.domain.errors import LeaseEnded, LeaseUnknown, Malformed, NotAllowed
from credbroker.domain.secret import Secret

JOIN_SECONDS = 600.0
SESSION_SECONDS = 3600.0
ASSERTION_SECONDS = 60.0
"""How far ahead an assertion may end, by the clock of the host that signs it."""
CLOCKS_OFF_SECONDS = 60.0
"""How far a host's clock may be from ours."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_PATTERN_LABEL = re.compile(r"[a-z0-9*-]{1,63}\Z")
_LONGEST_NAME = 253
_PART = "[a-z0-9-]*"
_SHOWN = re.compile(r"([a-z]{2})_([A-Za-z0-9_-]{22,43})\.([A-Za-z0-9_-]{43})\Z")
_LONGEST_JTI = 200
_FAR = 1e12
"""Seconds that no clock shows: a whole number past all that floats hold can be sent, too."""

_JOIN_ANEW = "Have the operator make a new one with: credbroker admin host-join NAME"
_OPEN_ANEW = "Open a new session; credbroker agent --sessions does so by itself."


def check_host_name(name: str) -> str:
    """Return the host name in lower case; raise `Malformed` if it is none (RFC 1123 section 2.1).

    What could be an address is none: its last label holds a letter.
    """
    lower = name.lower() if name.isascii() else ""
    labels = lower.split(".")
    if len(lower) > _LONGEST_NAME or labels[-1].isdigit() or not all(map(_LABEL.match, labels)):
        raise Malformed("A host is named as DNS names it, such as login1.example.org.")
    return lower


def check_host_pattern(pattern: str) -> str:
    """Return the pattern in lower case; raise `Malformed` if it is none."""
    lower = pattern.lower() if pattern.isascii() else ""
    if len(lower) > _LONGEST_NAME or not all(map(_PATTERN_LABEL.match, lower.split("."))):
        raise Malformed("A pattern is a host name in which * stands for a part of a label.")
    return lower


def matches(name: str, pattern: str) -> bool:
    """True if `pattern` speaks of the host `name`; both as their checks return them."""
    labels, wanted = name.split("."), pattern.split(".")
    return len(labels) == len(wanted) and all(map(_label_matches, labels, wanted))


def matches_any(name: str, patterns: Collection[str]) -> bool:
    """True if one of `patterns` speaks of the host `name`."""
    return any(matches(name, one) for one in patterns)


def groups_of(name: str, groups: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the names of the groups that a host belongs to, in the order of `groups`."""
    return tuple(group for group, patterns in groups.items() if matches_any(name, patterns))


def _label_matches(label: str, wanted: str) -> bool:
    expression = _PART.join(re.escape(part) for part in wanted.split("*"))
    return re.fullmatch(expression, label) is not None


@dataclass(frozen=True)
class HostSecret:
    """A secret of a host as it travels: `<prefix>_<place>.<secret>`.

    The place names its record, which has the secret's hash; the secret is 32 random bytes.
    """

    prefix: str
    place: str
    secret: Secret

    @classmethod
    def parse(cls, prefix: str, text: str) -> HostSecret:
        """Read a presented one; raise `LeaseUnknown` if it has another form."""
        match = _SHOWN.match(text)
        if match is None or match.group(1) != prefix:
            raise LeaseUnknown(
                "No token of a host was shown, or it is of another kind.", _OPEN_ANEW
            )
        return cls(prefix, match.group(2), Secret("host's secret", match.group(3)))

    def text(self) -> Secret:
        """Return it as it travels, still wrapped."""
        return self.secret.extended("host's token", f"{self.prefix}_{self.place}.")

    def secret_hash(self) -> str:
        """Return the hex SHA-256 of the secret half: all that is ever stored."""
        return self.secret.digest()


JOIN_TOKEN, HOST_TOKEN = "cj", "ch"


def place_of(name: str) -> str:
    """Return the path segment of a host's record, which nothing typed by anybody is in."""
    return _hashed("host", name)


def session_place(name: str, use: str) -> str:
    """Return the path segment, 22 characters, of the session that one `use` of a proof opens.

    The same proof a second time finds its place taken.
    """
    return _hashed("host session", name, use)[:22]


def _hashed(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Host:
    """What is kept of a host: the join token that is open for it, and the key it has joined with.

    `key` is a public key (PEM), and `traded_hash` says which token it came by.
    """

    name: str
    join_hash: str = ""
    join_until: Optional[datetime.datetime] = None
    key: str = ""
    joined_at: Optional[datetime.datetime] = None
    traded_hash: str = ""

    def judged_at(self, now: datetime.datetime) -> datetime.datetime:
        """Return by which moment a containment judges a trade of the open join token.

        One from before it is over; the clocks of who made the two may be apart.
        """
        if self.join_until is None:
            return now
        before_end = datetime.timedelta(seconds=JOIN_SECONDS - CLOCKS_OFF_SECONDS)
        return min(now, self.join_until - before_end)


def invited(host: Host, join_hash: str, now: datetime.datetime) -> Host:
    """Return the host with a new join token, in the place of any other; its key goes on."""
    until = now + datetime.timedelta(seconds=JOIN_SECONDS)
    return replace(host, join_hash=join_hash, join_until=until)


def joined(host: Host | None, join_hash: str, key: str, now: datetime.datetime) -> Host:
    """Return the host with `key` in the place of any other; with the same trade again as it is.

    Raises `NotAllowed` for a token that is not this host's, was traded, or ran out.
    """
    if host is not None and key == host.key and _same(host.traded_hash, join_hash):
        return host
    if host is None or host.join_until is None or not _same(host.join_hash, join_hash):
        raise NotAllowed("This join token is not known here, or was used.", _JOIN_ANEW)
    if now >= host.join_until:
        raise NotAllowed("This join token ran out.", _JOIN_ANEW)
    return Host(host.name, key=key, joined_at=now, traded_hash=join_hash)


def _same(known: str, shown: str) -> bool:
    return bool(known) and hmac.compare_digest(known, shown)


@dataclass(frozen=True)
class HostCertificate:
    """What a verified certificate says: its DNS names, in its order, and from when to when it holds."""

    names: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime


def name_in(certificate: HostCertificate, patterns: Collection[str], now: datetime.datetime) -> str:
    """Return the first name in a certificate that `patterns` speak of.

    Raises `NotAllowed` if there is none, or if the certificate does not hold `now`: a connection
    may last longer than the certificate that opened it.
    """
    if not certificate.not_before <= now < certificate.not_after:
        raise NotAllowed("The host's certificate is not valid now.", "Renew it, and connect anew.")
    for name in certificate.names:
        try:
            checked = check_host_name(name)
        except Malformed:
            continue  # a wildcard, say, which is no host's name
        if matches_any(checked, patterns):
            return checked
    raise NotAllowed(
        "No name in this certificate is one of a host that is delivered to.",
        "The operator lists such names in the setting hosts.names.",
    )


def check_assertion(
    claims: Mapping[str, object], name: str, addresses: Collection[str], now: datetime.datetime
) -> str:
    """Return the `jti` of an assertion of the host `name` (RFC 7523 section 3).

    Raises `NotAllowed` unless it speaks of that host, to the broker at one of `addresses`, which end in
    no slash, and for no longer than `ASSERTION_SECONDS`, whatever within `CLOCKS_OFF_SECONDS` the host's clock shows.
    """
    if (claims.get("iss"), claims.get("sub")) != (name, name):
        raise _unfit("is not about the host that signed it")
    aimed = claims.get("aud")
    if not isinstance(aimed, str) or aimed.rstrip("/") not in addresses:
        raise _unfit("is not for this broker's public URL")
    ends, jti = claims.get("exp"), claims.get("jti")
    if isinstance(ends, bool) or not isinstance(ends, (int, float)):
        raise _unfit("does not say when it ends")
    ahead = ends - now.timestamp() if abs(ends) < _FAR else float("inf")
    if not -CLOCKS_OFF_SECONDS < ahead <= ASSERTION_SECONDS + CLOCKS_OFF_SECONDS:
        raise _unfit("ran out, or ends more than a minute ahead; compare the clocks")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI or not jti.isprintable():
        raise _unfit("has no jti")
    return jti


def _unfit(why: str) -> NotAllowed:
    return NotAllowed(f"The host's assertion {why}.", "Sign a new one, as docs/sessions.md says.")


@dataclass(frozen=True)
class HostSession:
    """The record of a host that has shown who it is, from the address `origin`."""

    id: str
    secret_hash: str
    host: str
    created_at: datetime.datetime
    ends_at: datetime.datetime
    origin: str = ""


def session_of(
    token: HostSecret, host: str, origin: str, now: datetime.datetime,
    until: datetime.datetime | None = None,
) -> HostSession:  # fmt: skip
    """Make the session whose token this is, for an hour or `until` then, whichever is earlier."""
    ends_at = now + datetime.timedelta(seconds=SESSION_SECONDS)
    ends_at = ends_at if until is None else min(ends_at, until)
    return HostSession(token.place, token.secret_hash(), host, now, ends_at, origin)


def check_session(
    session: HostSession | None, shown: HostSecret, now: datetime.datetime
) -> HostSession:
    """Return the session if `shown` is its token; raise `LeaseUnknown` or `LeaseEnded` if not."""
    known = session.secret_hash if session is not None else hashlib.sha256(b"").hexdigest()
    if not hmac.compare_digest(known, shown.secret_hash()) or session is None:
        raise LeaseUnknown("This host token is not known here.", _OPEN_ANEW)
    if now >= session.ends_at:
        raise LeaseEnded("This host's session ran out.", _OPEN_ANEW)
    return session
