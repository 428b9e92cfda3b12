"""Scopes: what they say and when one covers another (WLCG profile 1.3, section "Scope-based").

A storage item names a path and covers that path and everything below it, by whole segments. The
only implications are modify over create and stage over poll; nothing implies read, and storage and
compute never mix. A path that is not in normal form is refused, not mended: some storage compares
prefixes as text, so a sloppy path is a wider right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Iterable, Iterator

from credbroker.domain import profile_names
from credbroker.domain.errors import Malformed

STORAGE = frozenset(
    {"storage.read", "storage.create", "storage.modify", "storage.stage", "storage.poll"}
)
COMPUTE = frozenset({"compute.read", "compute.create", "compute.modify", "compute.cancel"})
# `wlcg.capabilityset:/g` stands for the capabilities that the issuer makes of it.
_OTHER_CAPABILITIES = frozenset({"host.auth", "wlcg.capabilityset"})
_IMPLIES = {"storage.modify": {"storage.create"}, "storage.stage": {"storage.poll"}}
CONTROL = profile_names.CONTROL

# RFC 6749 appendix A.4: a scope-token is printable ASCII without space, quote and backslash.
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,1024}\Z")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})+\Z")
_HEX = re.compile(r"%([0-9A-F]{2})")
_NEVER_ENCODED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_NEVER_AT_ALL = frozenset("/\\\x00")


@dataclass(frozen=True)
class ScopeItem:
    """One permission: a name, and for storage the path it is about."""

    name: str
    path: str | None = None

    def __str__(self) -> str:
        return self.name if self.path is None else f"{self.name}:{self.path}"

    @property
    def is_capability(self) -> bool:
        """True for what the profile calls a capability; false for groups, openid and the like."""
        return self.name in STORAGE or self.name in COMPUTE or self.name in _OTHER_CAPABILITIES

    @property
    def is_group(self) -> bool:
        """True for a request for groups, plain or by name."""
        return self.name == "wlcg.groups"

    def covers(self, other: ScopeItem) -> bool:
        """True if holding this item includes the right that `other` names."""
        if self == other:
            return True
        if self.path is None or other.path is None or other.name not in STORAGE:
            return False
        if other.name != self.name and other.name not in _IMPLIES.get(self.name, ()):
            return False
        return path_covers(self.path, other.path)


@dataclass(frozen=True)
class ScopeSet:
    """Several scope items, each once, in the order they were first named."""

    items: tuple[ScopeItem, ...] = ()

    @classmethod
    def parse(cls, text: str) -> ScopeSet:
        """Read a space-separated `scope` value; raise `Malformed` naming a bad item."""
        return cls.of(text.split())

    @classmethod
    def of(cls, texts: Iterable[str]) -> ScopeSet:
        """Read scope items one by one; raise `Malformed` naming a bad item."""
        return cls(tuple(dict.fromkeys(parse_item(text) for text in texts)))

    def __iter__(self) -> Iterator[ScopeItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __str__(self) -> str:
        # A cached property takes a lock, which is most of it where there is one item.
        known = vars(self)
        if "_text" not in known:
            known["_text"] = " ".join([str(item) for item in self.items])
        text: str = known["_text"]
        return text

    def texts(self) -> list[str]:
        """Return the items as text, in order."""
        return [str(item) for item in self.items]

    def covers_item(self, wanted: ScopeItem) -> bool:
        """True if one single item here covers `wanted`; two halves never add up."""
        return any(item.covers(wanted) for item in self.items)

    def missing(self, wanted: ScopeSet) -> ScopeSet:
        """Return the items of `wanted` that nothing here covers."""
        if wanted is self:
            return ScopeSet()
        return ScopeSet(tuple(item for item in wanted if not self.covers_item(item)))

    def rights(self) -> ScopeSet:
        """Return the items without those that only steer a login (openid, offline_access …)."""
        return self._rights

    @cached_property
    def _rights(self) -> ScopeSet:
        return ScopeSet(tuple(item for item in self.items if str(item) not in CONTROL))

    @property
    def has_capability(self) -> bool:
        """True if any item is a capability."""
        return any(item.is_capability for item in self.items)

    @property
    def has_groups(self) -> bool:
        """True if any item asks for groups."""
        return any(item.is_group for item in self.items)

    def without_groups(self) -> ScopeSet:
        """Return the items that ask for no groups."""
        return ScopeSet(tuple(item for item in self.items if not item.is_group))

    def same_as(self, other: ScopeSet) -> bool:
        """True if both name the same items, whatever the order."""
        return set(self.items) == set(other.items)


# The same few items come with every token of a community.
@lru_cache(maxsize=4096)
def parse_item(text: str) -> ScopeItem:
    """Read one scope item; raise `Malformed` for a pathless storage item or an unsafe path."""
    if not _SCOPE_TOKEN.match(text):
        raise Malformed("A scope must be 1 to 1024 printable ASCII characters without spaces.")
    name, colon, path = text.partition(":")
    if name in STORAGE:
        if not colon:
            raise Malformed(f"{name} needs a path, as in {name}:/data.")
        return ScopeItem(name, check_path(path))
    if name in COMPUTE or name == "host.auth":
        if colon:
            raise Malformed(f"{name} takes no path.")
        return ScopeItem(name)
    return ScopeItem(name, path) if colon else ScopeItem(name)


def check_path(path: str) -> str:
    """Return `path` if it is absolute and in normal form (RFC 3986 section 6).

    Refused with `Malformed`: a missing first slash, empty, `.` or `..` segments, encoded slash,
    backslash or NUL, lower-case hex digits, needless encoding, and characters that must be encoded.
    """
    if not path.startswith("/"):
        raise Malformed("A storage path must begin with a slash.")
    segments = path[1:].split("/")
    if segments[-1] == "":
        segments.pop()  # one final slash is allowed: it says "the folder, not a file"
    for segment in segments:
        _check_segment(segment)
    return path


def _check_segment(segment: str) -> None:
    if not _SEGMENT.match(segment):
        raise Malformed("A storage path has an empty segment or a character that must be encoded.")
    decoded = {chr(int(pair, 16)) for pair in _HEX.findall(segment)}
    if decoded & (_NEVER_ENCODED | _NEVER_AT_ALL):
        raise Malformed("A storage path has an encoded character that must not be encoded.")
    if segment in {".", ".."}:
        raise Malformed("A storage path must not contain . or .. segments.")


def path_covers(parent: str, child: str) -> bool:
    """True if `child` is `parent` or lies below it, by whole segments; both in normal form.

    `/a/` covers `/a/` and `/a/x` but not the file `/a`; `/a` never covers `/ab`.
    """
    if parent == "/":
        return True
    stem = parent[:-1] if parent.endswith("/") else parent
    if child == stem:
        return not parent.endswith("/")
    return child.startswith(stem + "/")
