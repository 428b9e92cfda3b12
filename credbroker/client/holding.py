"""Holds a program's access tokens: each is asked for once, however many threads and tasks want it.

- What is given out lasts for as long as its caller said, by a clock that no jump of the wall clock moves.
- When a token is due, one caller sees to the next one; the others get it while it will do.
- What keeps the next one from coming is logged as long as the present one will do, and raised then;
  a refusal is raised at once. All who wait for the same request are told the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable, Dict, NamedTuple, Optional, Protocol, Tuple

from credbroker.domain.errors import GrantLost, TooSoonExpired, Unavailable

if TYPE_CHECKING:
    from credbroker.domain.errors import CredbrokerError
    from credbroker.domain.secret import Secret
    from credbroker.domain.tokens import AccessToken

AGAIN_SECONDS = 30.0
"""How long nobody is asked again after a failure, while the present token will do."""

LEAST_SECONDS = 5.0
"""How long a token is the newest there is: who asks again so soon is given the same."""

_LOG = logging.getLogger("credbroker.client")


@dataclass(frozen=True)
class Wish:
    """What a token is wanted for, and for how many seconds it must still last."""

    issuer: Optional[str] = None
    role: Optional[str] = None
    lease_file: Optional[str] = None
    scopes: Optional[Tuple[str, ...]] = None
    audiences: Optional[Tuple[str, ...]] = None
    minimum_seconds: float = 0.0

    @property
    def kind(self) -> Wish:
        """Return the wish that all share who can use the same token while it lasts."""
        return replace(self, minimum_seconds=0.0)


class Taken(NamedTuple):
    """A token as it comes: how long it still lasts and when to ask for the next, in seconds."""

    token: AccessToken
    lasts_seconds: float
    renew_in_seconds: float


class BootClock(Protocol):
    """What is needed of time here."""

    def elapsed(self) -> float:
        """Return seconds since boot; counts time asleep, never goes back."""


class _Held(NamedTuple):
    token: AccessToken
    asked_at: float
    ends_at: float
    renew_at: float


class _Seen(NamedTuple):
    """What a look shows: a token that will do, if any, and the request that is under way, if any."""

    token: Optional[AccessToken]
    flight: Optional[Future[AccessToken]]
    leads: bool
    """Whether whoever looked has to send it."""


class _BrokenOffError(Exception):
    """Who had sent the request was stopped; another one has to."""


class Holding:
    """The tokens of one program."""

    def __init__(self, take: Callable[[Wish], Taken], clock: BootClock) -> None:
        """Get tokens by `take`, which blocks and raises `CredbrokerError`."""
        self._take = take
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Dict[Wish, _Held] = {}
        self._flights: Dict[Wish, Future[AccessToken]] = {}

    def fresh(self, wish: Wish, instead_of: Optional[Secret] = None) -> AccessToken:
        """Return a token that lasts long enough. `instead_of` is one that a service refused.

        Raises:
            TooSoonExpired: None can be had that does.
            CredbrokerError: What keeps one from being had.
        """
        while True:
            seen = self._look(wish, instead_of)
            if seen.leads:
                self._fly(wish, instead_of)
            elif seen.token is not None:
                return seen.token
            assert seen.flight is not None
            with contextlib.suppress(_BrokenOffError):
                return seen.flight.result()

    async def fresh_async(self, wish: Wish, instead_of: Optional[Secret] = None) -> AccessToken:
        """Return the same without blocking the event loop; it raises the same."""
        while True:
            seen = self._look(wish, instead_of)
            if seen.leads:
                # Not one of the loop's threads: who is cancelled must not take the request along.
                deed = functools.partial(self._fly, wish, instead_of)
                threading.Thread(target=deed, daemon=True).start()
            if seen.token is not None:
                return seen.token
            assert seen.flight is not None
            with contextlib.suppress(_BrokenOffError):
                return await asyncio.wrap_future(seen.flight)

    def forget(self) -> None:
        """Hold nothing any more, as when another person has logged in."""
        with self._lock:
            self._held.clear()

    def _look(self, wish: Wish, instead_of: Optional[Secret]) -> _Seen:
        with self._lock:
            now, held = self._clock.elapsed(), self._held.get(wish.kind)
            if held is not None and held.token.value == instead_of:
                held = held if now - held.asked_at < LEAST_SECONDS else None
            if held is not None and self._lacks(held, wish):
                held = None
            flight = self._flights.get(wish)
            is_due = held is None or now >= held.renew_at
            leads = is_due and flight is None
            if leads:
                flight = self._flights[wish] = Future()
                flight.set_running_or_notify_cancel()  # so nobody who waits can cancel it for all
            return _Seen(held and held.token, flight, leads)

    def _fly(self, wish: Wish, instead_of: Optional[Secret]) -> None:
        """Ask once, and tell all who wait for it."""
        try:
            token = self._renewed(wish, instead_of)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody must wait for ever
            self._landed(wish).set_exception(error)
        except BaseException:
            self._landed(wish).set_exception(_BrokenOffError())
            raise
        else:
            self._landed(wish).set_result(token)

    def _landed(self, wish: Wish) -> Future[AccessToken]:
        with self._lock:
            return self._flights.pop(wish)

    def _renewed(self, wish: Wish, instead_of: Optional[Secret]) -> AccessToken:
        try:
            taken = self._take(wish)
        except (GrantLost, TooSoonExpired, Unavailable) as error:
            return self._kept_in_spite_of(error, wish)
        held = self._hold(wish.kind, taken, instead_of)
        if self._lacks(held, wish):
            raise TooSoonExpired("No token can be had now that lasts for as long as was asked.")
        return held.token

    def _hold(self, kind: Wish, taken: Taken, instead_of: Optional[Secret]) -> _Held:
        """Hold what was taken, or what is held if that lasts longer; let go of what has ended."""
        with self._lock:
            now = self._clock.elapsed()
            renew_at = now + max(taken.renew_in_seconds, LEAST_SECONDS)
            new, before = (
                _Held(taken.token, now, now + taken.lasts_seconds, renew_at),
                self._held.get(kind),
            )
            is_good = before is not None and before.token.value != instead_of
            if before is not None and is_good and before.ends_at > new.ends_at:
                new = before._replace(asked_at=now, renew_at=renew_at)
            self._held = {one: held for one, held in self._held.items() if held.ends_at > now}
            self._held[kind] = new
            return new

    def _kept_in_spite_of(self, error: CredbrokerError, wish: Wish) -> AccessToken:
        with self._lock:
            held = self._held.get(wish.kind)
            if held is None or self._lacks(held, wish):
                raise error
            now = self._clock.elapsed()
            self._held[wish.kind] = held._replace(asked_at=now, renew_at=now + AGAIN_SECONDS)
        _LOG.warning("The access token is kept. %s %s", error.sentence, error.remedy)
        return held.token

    def _lacks(self, held: _Held, wish: Wish) -> bool:
        return held.ends_at - self._clock.elapsed() < wish.minimum_seconds
