"""What a submit asks of the storer: `S[&handle=H][&scopes=a,b][&audience=X][&options=O]`, purely.

Scopes and audiences are put into one order without blanks, since HTCondor compares them as texts:
`a, b` and `b,a` are the same request here. What the credd or a vault credmon could not serve is
refused: a handle with an underscore, since the service is what stands before the last one, and
narrowing without a handle, since the file of the service has the whole right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from credbroker.cli.durations import parse_duration
from credbroker.domain.errors import Malformed
from credbroker.domain.scopes import ScopeSet
from credbroker.wire.htvault import split_list

_NAME = re.compile(r"[A-Za-z0-9+=.-]{1,64}\Z")
_PARTS = {"handle": "handle", "scopes": "scopes", "scope": "scopes", "audience": "audience",
          "options": "options"}  # fmt: skip
_STATED = "for="


@dataclass(frozen=True, slots=True)
class Service:
    """`issuer` or `issuer_role`: a login as HTCondor names it."""

    issuer: str
    role: str | None = None

    @property
    def name(self) -> str:
        """Return the name in submit files and of the stored file."""
        return self.issuer if self.role is None else f"{self.issuer}_{self.role}"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: a service's whole right, or with a handle one that may be narrowed.

    `written` are scopes and audience as the submit wrote them. `stated_seconds` is how long the job
    may wait and run, if that was said; `unused` are options that mean nothing here.
    """

    service: Service
    handle: str | None = None
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    written: tuple[str, str] = ("", "")
    stated_seconds: int | None = None
    unused: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of the stored file, and of the token in a job's sandbox."""
        return self.service.name if self.handle is None else f"{self.service.name}_{self.handle}"

    @property
    def narrowing(self) -> tuple[str, str]:
        """Return scopes and audience as they are stored: in order, between commas."""
        return ",".join(self.scopes), ",".join(self.audiences)


def parse(argument: str) -> Asked:
    """Read one argument of the storer; raise `Malformed` saying what is wrong with it."""
    first, *parts = argument.split("&")
    service = parse_service(first)
    said: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or key not in _PARTS or _PARTS[key] in said:
            raise _unfit(argument, f"{part!r} is not understood, or said twice.")
        said[_PARTS[key]] = value
    handle = said.get("handle") or None
    if handle is not None and not _NAME.match(handle):
        raise _unfit(argument, "A handle has letters, digits and - + = . but no underscore.")
    written = said.get("scopes", ""), said.get("audience", "")
    if any(written) and handle is None:
        raise _unfit(argument, "Fewer scopes or another audience need a handle.")
    stated, unused = _options(argument, said.get("options", ""))
    scopes = _checked(argument, split_list(written[0]))
    audiences = tuple(sorted(split_list(written[1])))
    return Asked(service, handle, scopes, audiences, written, stated, unused)


def parse_service(text: str) -> Service:
    """Read `issuer` or `issuer_role`; raise `Malformed`."""
    issuer, underscore, role = text.partition("_")
    if not all(_NAME.match(one) for one in ([issuer, role] if underscore else [issuer])):
        raise _unfit(text, "A service is ISSUER or ISSUER_ROLE, with one underscore at the most.")
    return Service(issuer, role or None)


def by_service(requests: Iterable[Asked]) -> dict[Service, list[Asked]]:
    """Return the requests of each service, each request once, in the order of the submit."""
    found: dict[Service, list[Asked]] = {}
    for one in dict.fromkeys(requests):
        found.setdefault(one.service, []).append(one)
    return found


def _options(argument: str, text: str) -> tuple[int | None, tuple[str, ...]]:
    words = split_list(text)
    stated = [one.removeprefix(_STATED) for one in words if one.startswith(_STATED)]
    try:
        longest = max((parse_duration(one) for one in stated), default=None)
    except ValueError as unread:
        raise _unfit(argument, f"{unread}.") from None
    return longest, tuple(one for one in words if not one.startswith(_STATED))


def _checked(argument: str, scopes: list[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted(ScopeSet.of(scopes).texts()))
    except Malformed as unread:
        raise _unfit(argument, unread.sentence) from None


def _unfit(argument: str, why: str) -> Malformed:
    name = argument.partition("&")[0][:64]
    return Malformed(f"The request for {name} cannot be served. {why}", "Mend the submit file.")
