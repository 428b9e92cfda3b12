"""Where a program's token comes from: a login of the person who runs it, a job's lease, or a file.

- Where a lease file or a login is named, that one decides; who may use it says the broker.
- Otherwise a token that the environment names (`BEARER_TOKEN`, `BEARER_TOKEN_FILE`) was put there for
  this program. Then comes the person's only login, and then what the WLCG discovery finds.
- A token that was found is used if it serves what is asked for; it cannot be narrowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Optional

from credbroker.client.broker import Broker
from credbroker.client.holding import Taken, Wish
from credbroker.client.opening import OpenDoor, open_door
from credbroker.client.reaching import CA_FILE_VARIABLE
from credbroker.delivery import discovery, lease_file
from credbroker.delivery.lease_file import naming_the_login, not_logged_in
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import LocalFileUnfit, Malformed, NotAllowed, OutsideCeiling
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import WAY_SECONDS, serves
from credbroker.wire.jwt import read_access_token
from credbroker.wire.native import AskToken

if TYPE_CHECKING:
    from credbroker.client.blocking import BlockingClock
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.ports import Entropy

LOOK_AGAIN_SECONDS = 10.0
"""How soon a token that was found is looked for anew: whoever put it there renews it there."""


@dataclass(frozen=True)
class Sources:
    """The sources of one user's program."""

    clock: BlockingClock
    entropy: Entropy
    environ: Mapping[str, str]
    euid: int
    open_door: OpenDoor = open_door

    def take(self, wish: Wish) -> Taken:
        """Return a token that serves the wish, whether or not it lasts long enough; blocks.

        Raises:
            LoginNeeded: There is neither login nor token.
            Malformed: There are several logins, and it is not said which.
            OutsideCeiling: The token that was found does not serve what is asked for.
            CredbrokerError: What else keeps a token from being had.
        """
        lease = self._lease(wish)
        if lease is None:
            return self._found(wish)
        with naming_the_login(lease):
            return self._fetched(lease, wish)

    def _lease(self, wish: Wish) -> Optional[LeaseFile]:
        if wish.lease_file is not None:
            return _usable(lease_file.read(Path(wish.lease_file)), wish.lease_file)
        is_open = wish.issuer is None and wish.role is None
        if is_open and self._is_given_one():
            return None
        path = lease_file.only_path(self.environ, wish.issuer, wish.role, "Name issuer and role.")
        if path is None and not is_open:
            raise not_logged_in(wish.issuer, wish.role)
        return None if path is None else lease_file.read(path)

    def _is_given_one(self) -> bool:
        variables = (discovery.VALUE_VARIABLE, discovery.FILE_VARIABLE)
        return any(self.environ.get(one, "").strip() for one in variables)

    def _fetched(self, lease: LeaseFile, wish: Wish) -> Taken:
        ca_file = self.environ.get(CA_FILE_VARIABLE) or lease.ca_file
        send = self.open_door(lease.broker, self.clock, ca_file, lease.ca_pem)
        broker = Broker(send, self.clock, self.entropy, lease.lease_token)
        fetched = broker.ask_token(
            AskToken(
                None if wish.scopes is None else list(wish.scopes),
                None if wish.audiences is None else list(wish.audiences),
                int(wish.minimum_seconds) + WAY_SECONDS if wish.minimum_seconds > 0 else 0,
            )
        )
        now, token = broker.now(), fetched.token
        renew_in = (fetched.given.renew_at - now).total_seconds()
        return Taken(token, token.seconds_left(now), renew_in)

    def _found(self, wish: Wish) -> Taken:
        found = discovery.find(self.environ, self.euid)
        if found is None:
            raise not_logged_in(wish.issuer, wish.role)
        now = self.clock.now()
        try:
            token = read_access_token(found.value, now, any_profile=True)
        except Malformed as unread:
            raise LocalFileUnfit(
                f"Of the token in {found.place} nobody can tell how long it lasts. {unread.sentence}",
                "Put another one there, or log in with: credbroker login",
            ) from None
        asked = Right(ScopeSet.of(wish.scopes or ()).rights(), wish.audiences or ())
        if not serves(token, asked):
            raise OutsideCeiling(
                f"The token in {found.place} does not serve what is asked for.",
                "Ask for less, or name the issuer of a login that may do more.",
            )
        return Taken(token, token.seconds_left(now), LOOK_AGAIN_SECONDS)


def _usable(lease: LeaseFile, path: str) -> LeaseFile:
    if lease.starts is None:
        return lease
    raise NotAllowed(
        f"The secrets of {path} are used once each, so one agent alone goes by it.",
        f"Run your program under one, naming no lease file: credbroker agent --job {path} -- PROGRAM;"
        " or make the lease anew, with: credbroker job new ... --plain",
    )
