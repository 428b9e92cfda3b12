"""Audiences: whom a token is for, and the patterns by which settings name many at once.

- Audiences are compared as text (WLCG token profile 1.3, section "Audience"): a final slash, another
  port or another case is another audience.
- In a pattern `*` stands for a part of one label of the host's name, as in `https://*.example.org`,
  never of the last one: `*` alone would be any word, such as a service's name. What stands before and
  behind the host is compared as text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Iterable, Optional, Tuple

from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import Malformed
from credbroker.domain.hosts import check_host_name, check_host_pattern, matches

LONGEST = 1024
_ENTRY = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+\Z")
_BEHIND = re.compile(r"(?::[0-9]{1,5})?(?:/[^*]*)?\Z")
_PARTS = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*://)?)([A-Za-z0-9.*-]+)(.*)\Z")


def check_audience(audience: str) -> str:
    """Return `audience` if one token can be for it; raise `Malformed` if not.

    Printable ASCII without spaces, and without `*`: in a token that would be a pattern for whatever
    is made from it.
    """
    if "*" in audience:
        raise Malformed("A token is for audiences by name; * stands in settings only.")
    return _check_text(audience)


def check_pattern(pattern: str) -> str:
    """Return `pattern` if settings may name audiences by it; raise `Malformed` if not."""
    _check_text(pattern)
    if "*" in pattern:
        _, host, rest = _parts(pattern)
        if not host or not _BEHIND.match(rest):
            raise Malformed("In an audience, * stands for a part of the host's name only.")
        if check_host_pattern(host) != host:
            raise Malformed("A pattern of audiences is in lower case, as hosts' names in them are.")
        if "*" in host.rpartition(".")[2]:
            raise Malformed("A pattern of audiences names the last part of the host's name.")
    return pattern


@lru_cache(maxsize=4096)
def allows(entry: str, audience: str) -> bool:
    """True if an entry of the settings allows this audience; the wildcard value allows every one."""
    if entry in {audience, ANY_AUDIENCE}:
        return True
    if "*" not in entry or audience == ANY_AUDIENCE:
        return False
    before, pattern, behind = _parts(entry)
    start, host, rest = _parts(audience)
    return (before, behind) == (start, rest) and _is_host(host) and matches(host, pattern)


def allowing(entries: Iterable[str], audience: str) -> Optional[str]:
    """Return the first entry that allows this audience; None if none does."""
    return next((entry for entry in entries if allows(entry, audience)), None)


def _check_text(text: str) -> str:
    if len(text) > LONGEST or not _ENTRY.match(text):
        raise Malformed(f"An audience is 1 to {LONGEST} printable ASCII characters without spaces.")
    return text


def _parts(text: str) -> Tuple[str, str, str]:
    """Return what stands before the host's name, that name, and what follows it."""
    match = _PARTS.match(text)
    return (match.group(1), match.group(2), match.group(3)) if match else ("", "", text)


def _is_host(name: str) -> bool:
    try:
        return check_host_name(name) == name
    except Malformed:
        return False
