"""Which scope items a client may have: the WLCG path rule by whole segments, and nothing more.

The rule is written a second time here, apart from the broker's own, so that each checks the other.
No item implies one of another name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from credbroker.demo.issuer.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCOPE_ITEM = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 section 3.3
_HIDDEN_SEPARATORS = ("%2e", "%2f", "%5c", "%00")
GROUPS = "wlcg.groups"


def split(text: str) -> tuple[str, ...]:
    """Return the items of a scope parameter in order, each once.

    Raises:
        OAuthError: `invalid_scope`, for an item that could not be in a token.
    """
    items = tuple(dict.fromkeys(text.split()))
    for item in items:
        if not _well_formed(item):
            raise OAuthError("invalid_scope", f"Scope '{item}' is not well formed.")
    return items


def covers(held: str, asked: str) -> bool:
    """Tell if an item held allows the item asked: equal, or a storage path on or below its path."""
    name, _, area = held.partition(":")
    asked_name, _, path = asked.partition(":")
    if held == asked:
        return True
    below = name.startswith("storage.") and path.startswith(area.removesuffix("/") + "/")
    return bool(area) and name == asked_name and below


def within(held: Iterable[str], asked: Iterable[str]) -> bool:
    """Tell if every item asked is covered by some item held."""
    held = tuple(held)
    return all(any(covers(one, item) for one in held) for item in asked)


def check_registered(registered: tuple[str, ...], asked: Iterable[str], client_id: str) -> None:
    """Let through what the client is registered for; `wlcg.groups` stands for any named group.

    Raises:
        OAuthError: `invalid_scope`, naming the first item that is not registered.
    """
    for item in asked:
        group = item.startswith(GROUPS + ":/") and GROUPS in registered
        if not group and not within(registered, [item]):
            raise OAuthError(
                "invalid_scope", f"Scope '{item}' not allowed for client '{client_id}'."
            )


def _well_formed(item: str) -> bool:
    name, _, path = item.partition(":")
    if not _SCOPE_ITEM.fullmatch(item):
        return False
    if not name.startswith("storage."):
        return True
    segments = path.removesuffix("/").split("/") if path != "/" else [""]
    plain = not any(hidden in path.lower() for hidden in _HIDDEN_SEPARATORS)
    return plain and segments[0] == "" and not {"", ".", ".."} & set(segments[1:]) and bool(path)
