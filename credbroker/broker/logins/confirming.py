"""Logs a person in whom a Vault client sent to a browser: page, code, issuer, and then the poll.

- The person enters the code of the terminal; the browser that did so gets a cookie, without which
  `broker.logins.returning` takes no answer of the issuer. (An issuer that knows no redirect of ours is asked
  by its device flow instead, which cannot tell browsers apart.)
- What does not change of a login travels sealed; a record in Vault has the rest: any replica can go
  on with any step. Beginning a login writes nothing.
- The refresh token is in Vault before the poll can succeed, and goes to no client. The lease's id
  follows from the login's, so only one poll can ever store it.
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from credbroker.broker.custody.gate import Gates
from credbroker.broker.leasing import Leasing, Origin
from credbroker.broker.logins.confirmed_logins import ConfirmedLogins
from credbroker.broker.logins.returning import Returning
from credbroker.broker.logins.taking_in import TakingIn
from credbroker.broker.running import Means
from credbroker.domain import confirming
from credbroker.domain.confirming import AskedLogin, ConfirmedLogin
from credbroker.domain.device import SLOW_DOWN_SECONDS, DeviceStart, LoginOver
from credbroker.domain.errors import (
    CredbrokerError,
    LeaseUnknown,
    LoginDenied,
    Malformed,
    NotFound,
)
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease, LeaseToken, login_lease
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Renewed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.ports import LoginSeal
from credbroker.wire.confirmed import read_asked, write_asked

HELD_SECONDS = 8.0
LOOK_SECONDS = 0.5
# Of all polls together: a login may be polled by anybody who began it, as often as he likes.
LOOKS_PER_SECOND = 100.0

_SEALED_FOR = "login"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConfirmingRules:
    """What the settings say: our address, who goes on by device flow, how long leases last."""

    public_url: str
    by_device: frozenset[str]
    login_seconds: float


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that waits: where its person goes, the code to enter there, and what polls it."""

    auth_url: str
    user_code: str
    state: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Where a browser that confirmed goes on, with a cookie for the way back, good for `seconds`.

    `user_code` is what the issuer's page will want to be told, if it does.
    """

    login: str
    cookie: str
    go_to: str
    seconds: int
    user_code: str = ""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What a poll succeeds with: the lease, and the handle that stands for the refresh token."""

    token: LeaseToken
    lease: Lease
    handle: str


@dataclass(frozen=True, slots=True)
class _Pace:
    """When an issuer may be asked next about a device login, and how often (RFC 8628 section 3.5)."""

    next_at: float
    seconds: float


class Confirming:
    """All such logins, as this process sees them."""

    def __init__(
        self,
        logins: ConfirmedLogins,
        taking_in: TakingIn,
        leasing: Leasing,
        returning: Returning,
        means: Means,
        *,
        seal: LoginSeal,
        gates: Gates,
        rules: ConfirmingRules,
    ) -> None:
        """Keep what happened in `logins`; `returning` is the way to an issuer and back."""
        self._logins = logins
        self._taking_in = taking_in
        self._leasing = leasing
        self._returning = returning
        self._deeds = means.deeds
        self._clock = means.clock
        self._entropy = means.entropy
        self._seal = seal
        self._gates = gates
        self._rules = rules
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._paces: dict[str, _Pace] = {}
        self._held = 0

    async def begin(
        self, issuer: str, role: str, client_nonce: str, origin: Origin, host: str = ""
    ) -> Begun:
        """Begin a login that only who knows `client_nonce` can poll; nothing is stored.

        `host` is the name of the origin's address. Raises `NotFound`, `Malformed`, and at once what
        the issuer's gate says while that is not asked, and what the store raises.
        """
        self._logins.check_no_halt()
        asked_of = self._taking_in.issuer(issuer)
        if not client_nonce:
            raise Malformed("missing client_nonce", "The client must send one.")
        try:
            name, _ = self._taking_in.role(issuer, role.lower())
        except NotFound as error:
            raise Malformed(f'role "{role[:64]}" could not be found', error.remedy) from None
        self._gates.of(issuer).check()
        # Nobody is to look for a browser first, and then find that the issuer or the store is away.
        await asked_of.check_there()
        now = self._clock.now()
        login = AskedLogin(
            id=confirming.new_id(self._entropy.token(10), now),
            issuer=issuer,
            role=name,
            nonce_hash=confirming.digest(client_nonce),
            user_code=confirming.user_code(self._entropy.fraction()),
            started_at=now,
            expires_at=now + datetime.timedelta(seconds=confirming.LOGIN_SECONDS),
            address=origin.address,
            host=host,
        )
        await self._logins.check_there(login.id)
        sealed = self._seal.seal(_SEALED_FOR, write_asked(login))
        await self._logins.note("login_started", login, origin)
        return Begun(f"{self._rules.public_url}/login/{sealed}", login.user_code, sealed)

    def page(self, sealed: str) -> tuple[AskedLogin, ScopeSet]:
        """Return what the person is to confirm, and its scopes. Raises `Malformed`, `LoginExpired`."""
        login = self._opened(sealed)
        self._logins.check_in_time(login)
        return login, self._taking_in.role(login.issuer, login.role)[1]

    async def confirm(self, sealed: str, user_code: str, origin: Origin) -> Confirmed:
        """Take the code that the person typed, and say where the browser goes on.

        May be repeated if the answer got lost; the browser that did it last is the one that counts.
        Raises `Malformed` for a wrong code while there are tries left, `LoginDenied` and
        `LoginExpired` when the login is over.
        """
        asked, scopes = self.page(sealed)
        self._logins.check_no_halt()
        stored = await self._logins.get(asked.id)
        login, version = (stored.value, stored.version) if stored else (_new(asked), 0)
        if login.note or login.is_answered or login.tries >= confirming.TRIES:
            raise LoginDenied(login.note or "This login is over.")
        if not confirming.is_code(user_code, asked):
            await self._count_wrong(login, version, origin)
        cookie = self._entropy.token(32)
        device, address = await self._onward(login, scopes)
        login = confirming.confirmed(login, cookie, device)
        await self._logins.put(login, version)
        await self._logins.note("login_confirmed", login, origin)
        seconds = int((login.expires_at - self._clock.now()).total_seconds())
        code = device.user_code if device and not device.verification_uri_complete else ""
        return Confirmed(login.id, cookie, address, seconds, code)

    async def poll(self, sealed: str, client_nonce: str, origin: Origin) -> LoggedIn | None:
        """Return the lease once the person has logged in; None if that takes longer than 8 s.

        Succeeds once. Raises `Malformed` for a wrong nonce, and for a login that is unknown, over
        or polled with success before; `LoginDenied` if it can no longer succeed.
        """
        try:
            asked = self._opened(sealed)
        except Malformed:
            raise _state_over() from None
        if confirming.digest(client_nonce) != asked.nonce_hash:
            raise Malformed("invalid client_nonce", "Log in again.")
        self._held += 1
        try:
            return await self._hold(asked, origin)
        finally:
            self._held -= 1

    async def _hold(self, asked: AskedLogin, origin: Origin) -> LoggedIn | None:
        """Look until there is something, the more polls are held the more seldom."""
        until = self._clock.elapsed() + HELD_SECONDS
        news = self._logins.news_of(asked.id)
        while True:
            found = await self._answered(asked, origin)
            if found is not None:
                return found
            left = until - self._clock.elapsed()
            if left <= 0:
                return None
            pause = max(LOOK_SECONDS, self._held / LOOKS_PER_SECOND)
            await self._logins.wait(news, min(pause, left))

    async def _onward(
        self, login: ConfirmedLogin, scopes: ScopeSet
    ) -> tuple[DeviceStart | None, str]:
        """Return the issuer's device login, if that is the way, and where the browser goes."""
        if login.issuer in self._rules.by_device:
            issuer = self._taking_in.issuer(login.issuer)
            device = login.device or await issuer.start_device_login(scopes)
            return device, device.verification_uri_complete or device.verification_uri
        return None, await self._returning.address(login, scopes)

    async def _count_wrong(self, login: ConfirmedLogin, version: int, origin: Origin) -> None:
        login = confirming.tried(login, self._entropy.token(8))
        await self._logins.put(login, version)
        await self._logins.note("login_code_wrong", login, origin, tries=login.tries)
        if login.note:
            raise LoginDenied(login.note)
        raise Malformed("This is not the code of this login.", "Enter what the terminal shows.")

    async def _answered(self, asked: AskedLogin, origin: Origin) -> LoggedIn | None:
        """Return what a poll finds at one look."""
        stored = await self._logins.get(asked.id)
        if stored is not None and stored.value.note:
            raise LoginDenied(stored.value.note)
        if stored is not None and stored.value.is_answered:
            if stored.value.pending is None or stored.age_seconds > confirming.PENDING_SECONDS:
                raise _state_over()
            return await self._logged_in(stored.value, stored.value.pending, origin)
        if self._clock.now() >= asked.expires_at:
            raise _state_over()
        if stored is not None and stored.value.device is not None:
            await self._ask(asked.id, stored.value.device, origin)
        return None

    async def _logged_in(self, login: ConfirmedLogin, grant: Grant, origin: Origin) -> LoggedIn:
        await self._leasing.admit(grant.key, grant.created_at)  # it may have waited for long
        lease_id = confirming.lease_id(login)
        if await self._leasing.known(lease_id) is not None:
            raise _state_over()
        token = LeaseToken(lease_id, Secret("lease", self._entropy.token(32)))
        lease = login_lease(
            token,
            GrantKey(login.issuer, login.credkey, login.role),
            login.line,
            seconds=self._rules.login_seconds,
            now=self._clock.now(),
            subject=grant.subject,
            registers=True,
            origin=origin.address,
        )
        await self._logins.note(
            "login", login, origin, credkey=login.credkey, sub=grant.subject, lease=lease.id
        )
        try:
            await self._leasing.begin(lease)
        except LeaseUnknown:
            raise _state_over() from None  # another poll was first
        return LoggedIn(token, lease, confirming.handle_of(login.id))

    async def _ask(self, login_id: str, device: DeviceStart, origin: Origin) -> None:
        """Ask the issuer about its device login, no sooner than it allows; wait for no slow answer."""
        now = self._clock.elapsed()
        pace = self._paces.get(login_id, _Pace(now, device.interval_seconds))
        if now < pace.next_at or login_id in self._locks:
            return
        self._paces = {one: at for one, at in self._paces.items() if now - at.next_at < 60.0}
        self._paces[login_id] = replace(pace, next_at=now + pace.seconds)
        self._logins.check_no_halt()
        task = self._deeds.begin(self._ask_alone(login_id, device, origin), "poll a login")
        if await self._deeds.is_done(task, LOOK_SECONDS) and isinstance(
            error := task.exception(), CredbrokerError
        ):
            log.warning("login_not_polled", login=login_id, why=error.sentence)

    async def _ask_alone(self, login_id: str, device: DeviceStart, origin: Origin) -> None:
        async with self._locks.setdefault(login_id, asyncio.Lock()):
            stored = await self._logins.get(login_id)
            if stored is None or stored.value.note or stored.value.is_answered:
                return
            login = stored.value
            outcome = await self._taking_in.issuer(login.issuer).poll_device_login(
                device.device_code
            )
            if isinstance(outcome, LoginOver | Renewed):
                await self._returning.take(login, stored.version, outcome, origin)
            elif outcome.slower:
                slower = self._paces[login_id].seconds + SLOW_DOWN_SECONDS
                self._paces[login_id] = _Pace(self._clock.elapsed() + slower, slower)

    def _opened(self, sealed: str) -> AskedLogin:
        return read_asked(self._seal.open(_SEALED_FOR, sealed))


def _new(asked: AskedLogin) -> ConfirmedLogin:
    return ConfirmedLogin(asked.id, asked.issuer, asked.role, asked.expires_at)


def _state_over() -> Malformed:
    return Malformed("Expired or missing OAuth state.", "Log in again.")
