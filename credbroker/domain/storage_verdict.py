"""Whether a storage lets somebody do a deed at a URL who shows a given token, and why not.

Two kinds of storage differ: `PROFILE` keeps to the WLCG token profile 1.3; `XROOTD_5` is XRootD 5 before
5.6.9, which compares paths as texts, lets a token that writes see nothing, and knows neither staging
nor polling. A verdict is about the token's claims alone: whether it is signed is asked elsewhere.
"""

from __future__ import annotations

import datetime
import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import Malformed
from credbroker.domain.scopes import ScopeItem, check_path, path_covers

if TYPE_CHECKING:
    from credbroker.domain.tokens import AccessToken


class Dialect(enum.Enum):
    """How a storage reads a token."""

    PROFILE = "profile"
    """By the WLCG token profile 1.3."""
    XROOTD_5 = "xrootd-5"
    """As XRootD 5.5 does, which compares scope paths as texts."""


@dataclass(frozen=True)
class Storage:
    """What is known of a storage: whom it believes, what it calls itself, where an issuer's area is.

    `audiences` are the names it answers to. `issuer` is the one issuer string it believes; None leaves
    that open. What a scope calls `/` is `base_path` in its URLs.
    """

    audiences: Tuple[str, ...]
    issuer: Optional[str] = None
    base_path: str = "/"
    dialect: Dialect = Dialect.PROFILE


@dataclass(frozen=True)
class Verdict:
    """Whether it may be done, why, and what to ask for instead; empty if there is nothing to mend."""

    allowed: bool
    why: str
    remedy: str = ""


_NONE: Tuple[str, ...] = ()
_WRITES = ("storage.create", "storage.modify")
_SEES = ("storage.read", *_WRITES, "storage.stage")
DEEDS: Mapping[str, Mapping[Dialect, Tuple[str, ...]]] = {
    "read": {Dialect.PROFILE: ("storage.read",), Dialect.XROOTD_5: ("storage.read",)},
    "write": {Dialect.PROFILE: _WRITES, Dialect.XROOTD_5: _WRITES},
    "create": {Dialect.PROFILE: _WRITES, Dialect.XROOTD_5: _WRITES},
    "modify": {Dialect.PROFILE: ("storage.modify",), Dialect.XROOTD_5: ("storage.modify",)},
    "delete": {Dialect.PROFILE: ("storage.modify",), Dialect.XROOTD_5: ("storage.modify",)},
    "stat": {Dialect.PROFILE: _SEES, Dialect.XROOTD_5: ("storage.read",)},
    "stage": {Dialect.PROFILE: ("storage.stage",), Dialect.XROOTD_5: _NONE},
    "poll": {Dialect.PROFILE: ("storage.poll", "storage.stage"), Dialect.XROOTD_5: _NONE},
}
"""By deed and kind of storage: the scopes of which one is enough, the least of them first.

`write` and `create` put a new file there, `modify` replaces one.
"""
_BESIDE: Mapping[Tuple[str, str, Dialect], str] = {
    # Over HTTP it looks first whether that is a file or a folder.
    ("delete", "https", Dialect.XROOTD_5): "storage.read",
    ("delete", "http", Dialect.XROOTD_5): "storage.read",
}
"""By deed, scheme and kind of storage: what a token needs as well."""

MEANINGS: Mapping[str, str] = {
    "storage.read": "read files that are online, and see their size and checksum",
    "storage.create": "write new files and make folders; not replace, delete or read",
    "storage.modify": "write, replace, rename and delete files; not read",
    "storage.stage": "bring files from tape, and ask how far that is; not read",
    "storage.poll": "ask whether files are on tape or online; nothing else",
    "compute.read": "see jobs",
    "compute.create": "submit jobs",
    "compute.modify": "change jobs",
    "compute.cancel": "remove jobs",
    "host.auth": "say who it is to another service",
    "openid": "log in; no right at a service",
    "offline_access": "have a refresh token; no right at a service",
    "wlcg.groups": "be a member of the groups named; only where the token has no capability",
}
_SECURE = {"davs": "https", "dav": "http", "roots": "root"}
_PORTS = {"https": 443, "http": 80, "root": 1094}
_VERSION = re.compile(r"1\.\d+\Z")
_LEEWAY = datetime.timedelta(seconds=60)


def meaning(item: ScopeItem) -> str:
    """Return in words what a scope lets its holder do."""
    words = MEANINGS.get(item.name, "something that the WLCG profile does not know")
    if not item.name.startswith("storage."):
        return words
    return f"{words}: {_where(item.path or '/')}"


def storage_at(url: str, dialect: Dialect = Dialect.PROFILE) -> Storage:
    """Return what a storage may be taken for of which only a URL is known: it goes by its host's names.

    Raises:
        Malformed: This is no URL of a file.
    """
    scheme, host, port, _ = _taken_apart(url)
    at_port = "" if port in {None, _PORTS.get(scheme)} else f":{port}"
    named = dict.fromkeys((f"https://{host}{at_port}", f"{scheme}://{host}{at_port}", host))
    return Storage(tuple(named), dialect=dialect)


def verdict(
    token: AccessToken, deed: str, url: str, storage: Storage, now: datetime.datetime
) -> Verdict:
    """Say whether `storage` would let the holder of `token` do `deed` (of `DEEDS`) at `url`.

    Raises:
        Malformed: There is no such deed, or this is no URL of a file.
    """
    if deed not in DEEDS:
        raise Malformed(f"There is no deed {deed[:32]!r}: it is one of {', '.join(DEEDS)}.")
    scheme, _, _, asked = _taken_apart(url)
    for refused in _unfit(token, storage, now):
        return refused
    path = _below(storage.base_path, asked)
    if path is None:
        return Verdict(
            False,
            f"{asked} is outside {storage.base_path}, the issuer's area there.",
            "Use a URL inside that area, or another issuer's token.",
        )
    found = _by_scopes(token, deed, path, storage.dialect)
    beside = _BESIDE.get((deed, scheme, storage.dialect))
    if not found.allowed or beside is None or _covering(token, (beside,), path, storage.dialect):
        return found
    return Verdict(
        False,
        f"Over HTTP such a storage lets nobody {deed} without {beside} as well.",
        f"Ask for --scope {beside}:{path} beside what the token has.",
    )


def _unfit(token: AccessToken, storage: Storage, now: datetime.datetime) -> Iterator[Verdict]:
    """Walk the reasons why the token counts for nothing there, whatever it says it may do."""
    strict = storage.dialect is Dialect.XROOTD_5
    if now >= token.expires_at:
        yield Verdict(False, "The token has expired.", "Get a new one with: credbroker token")
    if token.not_before > now + (datetime.timedelta(0) if strict else _LEEWAY):
        yield Verdict(False, "The token is not valid yet.", "Wait, or compare the clocks.")
    if storage.issuer is not None and token.issuer_url != storage.issuer:
        slash = token.issuer_url.rstrip("/") == storage.issuer.rstrip("/")
        yield Verdict(
            False,
            f"The storage believes {storage.issuer}, the token is of {token.issuer_url}"
            + ("; the final slash counts." if slash else "."),
            "Write the issuer in the storage's settings as the token has it."
            if slash
            else "Get a token from the issuer that the storage believes.",
        )
    if token.version != "1.0" if strict else not _VERSION.match(token.version):
        yield Verdict(False, f"The storage does not know wlcg.ver {token.version!r}.")
    accepted = storage.audiences if strict else (*storage.audiences, ANY_AUDIENCE)
    if not set(accepted) & set(token.audiences):
        named = " ".join(token.audiences) or "nobody"
        yield Verdict(
            False,
            f"The token is for {named}, the storage goes by {' or '.join(storage.audiences)}.",
            f"Ask for --audience {storage.audiences[0]}",
        )


def _by_scopes(token: AccessToken, deed: str, path: str, dialect: Dialect) -> Verdict:
    enough = DEEDS[deed][dialect]
    if not enough:
        return Verdict(False, f"No scope lets anybody {deed} at such a storage.")
    covering = _covering(token, enough, path, dialect)
    if covering is not None:
        return Verdict(True, f"{covering} allows it{_but(token, covering, deed, path, dialect)}.")
    remedy = f"Ask for --scope {enough[0]}:{path}"
    if not token.scopes.has_capability and token.groups:
        return Verdict(
            False,
            "The token has groups and no capability: the storage goes by what it gives to groups.",
            remedy,
        )
    return Verdict(False, _why_not(token, enough, path), remedy)


def _covering(
    token: AccessToken, enough: Tuple[str, ...], path: str, dialect: Dialect
) -> Optional[ScopeItem]:
    for item in token.scopes:
        if item.name in enough and item.path is not None and _covers(item.path, path, dialect):
            return item
    return None


def _covers(allowed: str, path: str, dialect: Dialect) -> bool:
    if dialect is Dialect.XROOTD_5:
        return path.startswith(allowed.rstrip("/") or "/")
    return path_covers(allowed, path)


def _but(token: AccessToken, covering: ScopeItem, deed: str, path: str, dialect: Dialect) -> str:
    """Return what the person should know all the same."""
    if not path_covers(covering.path or "/", path):
        return ", since such a storage compares paths as texts; by the profile it would be refused"
    if deed == "write" and covering.name == "storage.create":
        others = DEEDS["modify"][dialect]
        if _covering(token, others, path, dialect) is None:
            return ", for a new file; one that is there can not be replaced"
    sees = _covering(token, DEEDS["stat"][dialect], path, dialect)
    if sees is None:
        return f"; a client that asks for size or checksum also needs storage.read:{path}"
    return ""


def _why_not(token: AccessToken, enough: Tuple[str, ...], path: str) -> str:
    named = " or ".join(enough)
    about = [item for item in token.scopes if item.name in enough]
    if not about:
        return f"The token has no {named}."
    listed = " ".join(map(str, about))
    for item in about:
        if item.path is not None and item.path.rstrip("/") == path:
            return f"{item} is about what is in the folder, not about a file of that name."
        if item.path is not None and path.startswith(item.path):
            return f"{listed} does not cover {path}: paths are compared by whole names."
    return f"{listed} does not cover {path}."


def _where(path: str) -> str:
    if path == "/":
        return "everywhere in the issuer's area"
    return f"below {path}" if path.endswith("/") else f"{path} and what is below it"


def _below(base: str, path: str) -> Optional[str]:
    """Return `path` as scopes name it, or None if it is not below `base`."""
    if not path_covers(base, path):
        return None
    return path[len(base.rstrip("/")) :] or "/"


def _taken_apart(url: str) -> Tuple[str, str, Optional[int], str]:
    """Return a URL's scheme, host, port and path, in normal form; raise `Malformed`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Malformed("The URL cannot be read.") from None
    scheme = _SECURE.get(parts.scheme, parts.scheme)
    if not scheme or not parts.hostname or not parts.path:
        raise Malformed("A URL with host and path is needed, as in https://se.example.org/data/f.")
    # In a root:// URL the path begins after a slash of its own.
    path = parts.path[1:] if parts.path.startswith("//") else parts.path
    # RFC 3986 section 3.2.2: in a name made of it, an IPv6 address stands in brackets, too.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return scheme, host, port, check_path(path)
