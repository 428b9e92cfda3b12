"""Which of the names on disk are this credmon's to serve, and as what.

A name is `SERVICE` or `SERVICE_HANDLE`, and a service may itself be `issuer_role`. Its provider is
what stands before the first underscore; its parent is what stands before the last one. Nothing that
another credmon, or none, is meant to serve is ever touched.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from credbroker.domain.errors import BadSettings

ALL = "*"
_BETWEEN = re.compile(r"[\s,]+")
_PROVIDER = re.compile(r"[A-Za-z0-9-]+\Z")
_ON_DISK = re.compile(r"[A-Za-z0-9+=_][A-Za-z0-9+=_.-]*\Z")


class Kind(enum.Enum):
    """How a token is got."""

    VAULT = "vault"
    """By the vault token in its `.top`, from a broker or an HTVault."""
    LOCAL = "local"
    """By the standing lease of the access point; its `.top` is a mark and says nothing."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The providers that the settings give to whom; empty `vault`, or `*` in it, is all the others.

    `foreign` are other credmons' providers, `clients`, in upper case, those that an OAuth client is set
    for. `only` limits everything to these; None for no limit.
    With `whole_names` the whole name is the provider, underscores and all.
    """

    vault: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    whole_names: bool = False

    def kind(self, name: str) -> Kind | None:
        """Return how the name on disk is served; None if not by this credmon."""
        provider = self.provider(name)
        if not provider or (self.only is not None and provider not in self.only):
            return None
        if provider in self.vault:
            return Kind.VAULT
        if provider in self.local:
            return Kind.LOCAL
        if self.vault and ALL not in self.vault:
            return None
        # HTCondor looks settings up whatever their case, but not names in a list.
        is_foreign = provider in self.foreign or provider.upper() in self.clients
        return None if is_foreign else Kind.VAULT

    def provider(self, name: str) -> str:
        """Return the provider of a name; empty for a name that HTCondor does not serve."""
        if self.whole_names:
            return name
        return "" if name.endswith("_") else name.partition("_")[0]


def parent(name: str) -> str | None:
    """Return whose secret serves a name without one of its own; None if there is no such name."""
    return name.rpartition("_")[0] or None


def is_on_disk(name: str) -> bool:
    """True if HTCondor's credd would store under this name of a user or service."""
    return _ON_DISK.match(name) is not None


def split_names(text: str) -> frozenset[str]:
    """Return the names in a list as HTCondor's settings have it, between commas and white space."""
    return frozenset(one for one in _BETWEEN.split(text) if one)


def check_providers(setting: str, names: Iterable[str], *, whole_names: bool) -> None:
    """Refuse, with `BadSettings`, what can be no provider, as an underscore would make it a handle."""
    for name in sorted(names):
        if not whole_names and name != ALL and not _PROVIDER.match(name):
            raise BadSettings(
                f"{setting} names {name[:64]!r}, which is no provider: letters, digits and hyphens are.",
                "Name what stands before the first underscore, or set CREDMON_ALLOW_SPECIAL_CHAR_NAMES.",
            )
