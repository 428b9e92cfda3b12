"""What happens at a submit, for one service after the other.

The login is looked at first; then each token that a job would get is asked for once, so what the
issuer or the broker refuses is said before anything is queued; then the credd gets what the credmon
needs. Any number of submits may do this at the same moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credbroker.cli.desk import at_minute, plain
from credbroker.cli.turns import turn
from credbroker.delivery.lease_file import naming_the_login
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, TooSoonExpired
from credbroker.edge.storer import lasting, storages
from credbroker.edge.storer.place import Place
from credbroker.edge.storer.storing import TURN_SECONDS, Storing, entries
from credbroker.edge.storer.tools import MINIMUM, USER_VARIABLE, NotStored
from credbroker.wire.native import AskToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from credbroker.cli.desk import Desk
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.edge.storer.asked import Asked, Service
    from credbroker.edge.storer.logins import LoggedIn, Logins
    from credbroker.edge.storer.storages import Storage
    from credbroker.edge.storer.tools import Credd


@dataclass(frozen=True, slots=True)
class Submit:
    """One run of the storer: where it works, and what it was told."""

    desk: Desk
    logins: Logins
    credds: Sequence[Credd]
    storages: Sequence[Storage]
    ca_file: str | None
    least_seconds: Callable[[], int]
    """Tells how long a token must live for the credmon to take it."""
    tell: Callable[[str], None]
    """Takes a line about what was done."""

    def serve(
        self, service: Service, requests: Sequence[Asked], stated_seconds: int | None
    ) -> None:
        """Have all that the requests need in place, or raise what is in the way."""
        for one in requests:
            storages.check(one, self.storages)
        login = self.logins.ready(service)
        end = lasting.check_outlasts(login, stated_seconds, self.desk.clock.now())
        lease = login.lease
        place = Place.of(self.desk.environ, lease.issuer, lease.role, self.desk.entropy)
        own = self._tried_out(login, requests, stated_seconds, place)
        wanted = entries(requests, own)
        for credd in self.credds:
            user = self.desk.environ.get(USER_VARIABLE, "")
            storing = Storing(credd, place, self.desk.clock, user)
            for name in storing.store(wanted):
                self.tell(f"Stored {name} at {credd.name}.")
        self.tell(f"{service.name} is in place; the login lasts until {at_minute(end)}.")

    def try_out(self, lease: LeaseFile, requests: Sequence[Asked]) -> None:
        """Have exactly the tokens that jobs would get, under `lease`, or raise why there are none."""
        broker, least = self.desk.broker_of(lease, self.ca_file), self.least_seconds()
        for one in requests:
            scopes, audiences = list(one.scopes) or None, list(one.audiences) or None
            with naming_the_login(lease), storages.hinting(one, self.storages), _naming_the_knob():
                broker.ask_token(AskToken(scopes, audiences, least))

    def _tried_out(
        self,
        login: LoggedIn,
        requests: Sequence[Asked],
        stated_seconds: int | None,
        place: Place,
    ) -> LeaseFile:
        """Return the access point's lease, after each token was had under it."""
        own = self._own_lease(login, stated_seconds, place)
        try:
            self.try_out(own, requests)
        except (LeaseEnded, LeaseUnknown):
            place.forget(own)  # of a login before this one, or somebody ended it
            own = self._own_lease(login, stated_seconds, place)
            self.try_out(own, requests)
        return own

    def _own_lease(self, login: LoggedIn, stated_seconds: int | None, place: Place) -> LeaseFile:
        """Return the access point's lease, a new one if there is none that will do."""
        now = self.desk.clock.now()
        kept = place.lease()
        if kept is not None and lasting.will_do(kept, login, stated_seconds, now):
            return kept
        with turn(
            place.lock("lease"),
            self.desk.clock,
            TURN_SECONDS,
            waiting=lambda: None,
            in_vain=lambda: NotStored("Another submit of yours has waited long for a lease."),
        ):
            kept = place.lease()
            if kept is not None and lasting.will_do(kept, login, stated_seconds, now):
                return kept
            made = lasting.make(login, stated_seconds, self.desk, self.ca_file)
            place.keep(made)
            return made


@contextlib.contextmanager
def _naming_the_knob() -> Iterator[None]:
    try:
        yield
    except TooSoonExpired as short:
        short.remedy = (
            f"Whoever runs this access point can set {MINIMUM} to less than the tokens' life."
        )
        raise


def warn_of_unused(requests: Sequence[Asked], desk: Desk) -> None:
    """Say which options of the submit file mean nothing here."""
    for one in requests:
        for option in one.unused:
            desk.say(plain(f"The option {option} of {one.name} does nothing here."))
