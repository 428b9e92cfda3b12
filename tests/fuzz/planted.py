"""Faults put into the broker on purpose: a fuzzer that does not find them would find no others."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from credbroker.broker.reaching import Reaching
from credbroker.domain.errors import LeaseUnknown
from credbroker.domain.leases import LeaseToken
from credbroker.domain.names import GrantKey
from credbroker.wire.fields import Fields
from tests.fuzz.crowd import line_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from credbroker.broker.leasing import Caller


@dataclass(frozen=True)
class Fault:
    """What puts it there, the target that meets it, and words of what is then found."""

    put: Callable[[], None]
    target: str
    found: str


def _echo() -> None:
    """Say what was shown, where it is not quite a vault token."""
    parse = LeaseToken.parse

    def told(text: str) -> LeaseToken:
        try:
            return parse(text)
        except LeaseUnknown:
            raise LeaseUnknown(f"{text!r} is not a vault token.") from None

    LeaseToken.parse = staticmethod(told)  # type: ignore[method-assign]  # on purpose


def _absent() -> None:
    """Take for granted that a field is there."""
    text = Fields.text

    def taken(self: Fields, name: str) -> str:
        return text(self, name) if self._read[name] is not None else ""

    Fields.text = taken  # type: ignore[method-assign]  # on purpose


def _path() -> None:
    """Check a path as it came, and straighten it out afterwards, as OpenBao GHSA-59w7-v8rr-pr4p."""

    async def narrowed(self: Any, caller: Caller, issuer: str, credkey: str, role: str) -> Caller:
        self.check(caller, GrantKey(issuer, credkey, role))
        key = GrantKey(issuer, posixpath.normpath(credkey), role)
        return replace(caller, lease=replace(caller.lease, key=key, line=line_of(key.credkey)))

    Reaching.narrowed = narrowed  # type: ignore[method-assign]  # on purpose


FAULTS = {
    "echo": Fault(_echo, "facade", "shows the .*vault token"),
    "path": Fault(_path, "facade", r"of '?(bob|adalbert)"),
    "absent": Fault(_absent, "readers", "KeyError"),
}
