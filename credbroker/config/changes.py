"""Which settings were changed, by their keys, and which of these a running broker cannot take.

Only keys are named, never values. What lies in the files that settings name is not compared here.
"""

from __future__ import annotations

from collections.abc import Iterator

from credbroker.config.schema import Settings
from credbroker.config.section import Section
from credbroker.domain.errors import BadSettings

AT_A_START = (
    "audit",
    "custody.folder",
    "custody.spool_entries",
    "listen.address",
    "listen.port",
    "listen.proxied_by",
    "vault",
)
"""What a broker holds on to for as long as it runs: its port, its Vault, its files."""


def changed(before: Settings, after: Settings) -> list[str]:
    """Return the keys that differ, with dots; of an entry that came or went its own key alone."""
    return list(_differing(before, after, ""))


def check_takeable(before: Settings, after: Settings) -> None:
    """Return if a broker that runs by `before` can go on by `after`. Raises `BadSettings`."""
    for key in changed(before, after):
        if any(key == one or key.startswith(f"{one}.") for one in AT_A_START):
            raise BadSettings(
                f"{key}: a broker that runs cannot take a change of this, so it took none at all.",
                "Start the broker again, or undo this change and reload once more.",
            )


def issuers_as_before(before: Settings, after: Settings) -> frozenset[str]:
    """Return the URLs of the issuers of which all is said as it was, wherever they are named."""
    changed_urls = {
        one.url for name, one in before.issuers.items() if after.issuers.get(name) != one
    }
    return frozenset(one.url for one in before.issuers.values()) - changed_urls


def _differing(before: object, after: object, at: str) -> Iterator[str]:
    if before == after:
        return
    here = f"{at}." if at else ""
    if isinstance(before, Section) and type(before) is type(after):
        for name in before.__struct_fields__:
            yield from _differing(getattr(before, name), getattr(after, name), f"{here}{name}")
    elif isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from _differing(before.get(name), after.get(name), f"{here}{name}")
    else:
        yield at
