"""The login that a service stands for: found, or made by whoever sits at the terminal.

Of programs that start together one asks the person and the others wait; if nothing comes of it
they end too, so a prompt that nobody answers is never followed by the next. Without a terminal, and
under DAGMan, nobody is asked and nothing is waited for. Each login has a prompt of its own, so one
that hangs holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from credbroker.cli.choice import readable_logins
from credbroker.cli.login import log_in
from credbroker.cli.one_login import WAIT_SECONDS, turn_of
from credbroker.cli.turns import turn
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile, naming_the_login
from credbroker.domain.errors import (
    GrantLost,
    LeaseEnded,
    LeaseUnknown,
    LocalFileUnfit,
    LoginNeeded,
    NotFound,
)
from credbroker.domain.grants import GrantState
from credbroker.wire.native import LeaseStatus, StartLogin

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk
    from credbroker.client.broker import Broker
    from credbroker.edge.storer.asked import Service

_UNATTENDED = ("_CONDOR_DAGMAN_LOG", "CONDOR_ID", "_CONDOR_JOB_AD")
"""What DAGMan and HTCondor's own jobs have in their environment, and people have not."""

_GOOD = frozenset({GrantState.READY.value, GrantState.CLAIMED.value})


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A login that can be used, and what the broker says of it."""

    lease: LeaseFile
    told: LeaseStatus


def is_attended(environ: Mapping[str, str], err: TextIO) -> bool:
    """True if there is a person who would see a prompt and could answer it."""
    return err.isatty() and not any(name in environ for name in _UNATTENDED)


class Logins:
    """Finds and makes logins."""

    def __init__(
        self, desk: Desk, *, address: Callable[[], str], ca_file: str | None, attended: bool
    ) -> None:
        """Make new ones at the broker that `address` tells, if `attended`."""
        self._desk = desk
        self._address = address
        self._ca_file = ca_file
        self._attended = attended

    def ready(self, service: Service) -> LoggedIn:
        """Return the login that `service` stands for, after asking the broker how it stands.

        Raises:
            LoginNeeded: There is none, and nobody to ask, or the login came to nothing.
            Unavailable: The broker does not answer.
        """
        broker = self._broker_for(service)
        role = service.role or _first_role(service, broker)
        found = self._read(service.issuer, role)
        try:
            return self._looked_at(found, service.issuer, role)
        except (GrantLost, LeaseEnded, LeaseUnknown):
            if not self._attended:
                raise
        return self._log_in(found, service.issuer, role)

    def _broker_for(self, service: Service) -> Broker:
        """Return the broker that knows the issuer; at once it is said if there is nobody to ask."""
        known = [one for _, one in readable_logins(self._desk.environ)
                 if one.issuer == service.issuer and service.role in {None, one.role}]  # fmt: skip
        if known:
            return self._desk.broker(known[0].broker, self._ca_file or known[0].ca_file)
        if not self._attended:
            raise _needed(service.issuer, service.role)
        return self._desk.broker(self._address(), self._ca_file)

    def _read(self, issuer: str, role: str) -> LeaseFile | None:
        try:
            return lease_file.read(lease_file.person_path(self._desk.environ, issuer, role))
        except LocalFileUnfit:
            return None

    def _looked_at(self, found: LeaseFile | None, issuer: str, role: str) -> LoggedIn:
        if found is None:
            raise _needed(issuer, role)
        with naming_the_login(found):
            told = self._desk.broker_of(found, self._ca_file).lease_status()
            if told.grant_state not in _GOOD:
                raise LoginNeeded(
                    f"The login to {issuer} cannot be used: it is {told.grant_state}."
                )
        return LoggedIn(found, told)

    def _log_in(self, before: LeaseFile | None, issuer: str, role: str) -> LoggedIn:
        """Return a login that is another one than `before`, made here or in another terminal."""
        desk = self._desk
        lease_file.make_leases_folder(desk.environ, desk.entropy)
        with turn(
            turn_of(desk.environ, issuer, role),
            desk.clock,
            WAIT_SECONDS,
            waiting=lambda: desk.say(f"\nWaiting for your login to {issuer} that is under way."),
            in_vain=lambda: _in_vain(issuer, role),
        ) as waited:
            found = self._read(issuer, role)
            if found is None or found == before:
                if waited:
                    raise _in_vain(issuer, role)
                desk.say("")  # condor_submit has left its own line open
                address = before.broker if before is not None else self._address()
                ca_file = self._ca_file or (before.ca_file if before is not None else None)
                found = log_in(StartLogin(issuer, role), "auto", desk, address, ca_file)
        return self._looked_at(found, issuer, role)


def _first_role(service: Service, broker: Broker) -> str:
    """Return the role that the broker takes where none is named."""
    offered = {one.name: one.roles for one in broker.issuers().issuers}
    roles = offered.get(service.issuer)
    if not roles:
        listed = ", ".join(offered) or "none"
        raise NotFound(f"The broker has no issuer {service.issuer}.", f"It has: {listed}.")
    return roles[0]


def _needed(issuer: str, role: str | None) -> LoginNeeded:
    return LoginNeeded(f"You are not logged in at {issuer}.", _remedy(issuer, role))


def _in_vain(issuer: str, role: str) -> LoginNeeded:
    return LoginNeeded(
        f"The login to {issuer} that was waited for came to nothing.", _remedy(issuer, role)
    )


def _remedy(issuer: str, role: str | None) -> str:
    named = f" --role {role}" if role else ""
    return f"Log in with: credbroker login {issuer}{named}"
