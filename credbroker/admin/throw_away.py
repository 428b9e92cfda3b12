"""An operator's own login at an issuer, made to be tried, and what is left of it in custody.

It belongs to nobody's work: no lease opens it. The broker tries it first when an issuer is in
trouble, so that a trial costs nobody a login.
"""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass, replace

from credbroker.admin.desk import Desk
from credbroker.admin.office import Office
from credbroker.broker.storing import put_surely
from credbroker.broker.walking import walk
from credbroker.config.schema import Issuer as IssuerSettings
from credbroker.domain.device import (
    SLOW_DOWN_SECONDS,
    DeviceStart,
    LoginOver,
    PollOutcome,
    StillPending,
)
from credbroker.domain.errors import (
    CredbrokerError,
    IssuerMisbehaved,
    LoginExpired,
    NotAllowed,
    NotFound,
    Unavailable,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Renewed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.ports import Issuer, StaleVersionError

_AGAIN = "Run the command again."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a throw-away grant belongs: issuer, role, and the scopes that role asks for."""

    issuer_name: str
    role: str
    scopes: ScopeSet

    @property
    def key(self) -> GrantKey:
        """The name of its grant."""
        return GrantKey(self.issuer_name, PROBE_CREDKEY, self.role)


@dataclass(frozen=True, slots=True)
class Login:
    """What came of a login: who it was, what was granted, and for how many seconds if that is known."""

    subject: str
    refresh_token: Secret
    scopes: ScopeSet | None
    refresh_expires_in: float | None

    def within(self, place: Place) -> ScopeSet:
        """Return what was granted of what the role asks for; more is not used."""
        if self.scopes is None:
            return place.scopes
        return ScopeSet(tuple(one for one in self.scopes if place.scopes.covers_item(one)))


def place_of(settings: IssuerSettings, issuer_name: str, role: str | None) -> Place:
    """Return the place for this role, by default the issuer's first; raise `NotFound`."""
    roles = settings.roles
    name = role if role is not None else next(iter(roles))
    if name not in roles:
        raise NotFound(
            f"The issuer {issuer_name!r} has no role {name[:64]!r}.", f"It has: {', '.join(roles)}."
        )
    return Place(issuer_name, name, ScopeSet.of(roles[name].scopes))


async def log_in(issuer: Issuer, scopes: ScopeSet, desk: Desk) -> Login:
    """Take an operator through a device login (RFC 8628).

    Raises `LoginDenied`, `LoginExpired`, `IssuerMisbehaved` if no refresh token comes of it, and
    what else the issuer says; that it does not answer a poll only lengthens the wait.
    """
    started = await issuer.start_device_login(scopes)
    deadline = desk.clock.elapsed() + started.expires_in
    _show(started, desk)
    interval = started.interval_seconds
    while (left := deadline - desk.clock.elapsed()) > 0:
        await desk.clock.sleep(min(interval, left))
        outcome = await _polled(issuer, started.device_code)
        if isinstance(outcome, Renewed):
            return await _login(issuer, outcome)
        if isinstance(outcome, LoginOver):
            raise type(outcome.error)(outcome.error.sentence, _AGAIN)
        interval += SLOW_DOWN_SECONDS if outcome.slower else 0.0
    raise LoginExpired("Nobody confirmed the login in time.", _AGAIN)


def _show(started: DeviceStart, desk: Desk) -> None:
    desk.say("This login is made to be thrown away: use an account with no other login here. Open")
    desk.say(f"    {started.verification_uri_complete or started.verification_uri}")
    desk.say(f"and confirm the code {started.user_code} there. Waiting ...")


async def _polled(issuer: Issuer, device_code: Secret) -> PollOutcome:
    try:
        return await issuer.poll_device_login(device_code)
    except Unavailable:
        return StillPending()


async def _login(issuer: Issuer, answer: Renewed) -> Login:
    if answer.refresh_token is None or answer.id_token is None:
        raise IssuerMisbehaved(
            "The issuer gave no refresh token or no ID token.",
            "It must allow the broker's client offline_access and openid.",
        )
    subject = (await issuer.verify_identity(answer.id_token)).get("sub")
    if not isinstance(subject, str) or not subject:
        raise IssuerMisbehaved("The issuer's ID token does not say who logged in.")
    return Login(subject, answer.refresh_token, answer.scopes, answer.refresh_expires_in)


async def keep(
    office: Office, issuer: Issuer, place: Place, login: Login, refresh_token: Secret
) -> None:
    """Put what is left of a throw-away login into custody, over an earlier one.

    `refresh_token` is what stands in place of the login's own now. An earlier one is revoked, where
    that hurts no other login. Raises `StoreUnavailable` kinds.
    """
    grant = _grant(office, issuer, place, login, refresh_token)
    segment, records = place.key.segment(), office.grants
    while True:
        found = await records.get(segment)
        before = found.value if found is not None else None
        kept = replace(grant, generation=before.generation + 1) if before is not None else grant
        try:
            await put_surely(
                records, segment, kept, found.version if found is not None else 0,
                is_ours=lambda there: there.write_id == grant.write_id,
            )  # fmt: skip
            break
        except StaleVersionError:
            continue  # a trial goes on with it just now: look again
    if before is not None and before.refresh_token is not None and before.issuer_url == issuer.url:
        await _revoke(issuer, before.refresh_token)


async def check_alone(office: Office, issuer: Issuer, place: Place, login: Login) -> None:
    """Raise `NotAllowed`, having revoked the login, if the same person has another one in custody.

    An issuer may end all of a person's logins with one. Raises `StoreUnavailable` kinds.
    """
    async for found in walk(office.grants):
        if found.stored is not None and _is_same_person(found.stored.value, place, login):
            await _revoke(issuer, login.refresh_token)
            raise NotAllowed(
                "This account has another login here, which might end with the one to be thrown"
                " away.",
                "Run the command again, and log in with an account that nobody's work depends on.",
            )


def _is_same_person(grant: Grant, place: Place, login: Login) -> bool:
    over = grant.is_over or grant.key.credkey == PROBE_CREDKEY
    at_issuer = grant.key.issuer == place.issuer_name
    return not over and at_issuer and grant.subject == login.subject


async def _revoke(issuer: Issuer, refresh_token: Secret) -> None:
    if issuer.revoke_replaced:
        with contextlib.suppress(CredbrokerError):
            await issuer.revoke(refresh_token)


def _grant(
    office: Office, issuer: Issuer, place: Place, login: Login, refresh_token: Secret
) -> Grant:
    now, ends = office.desk.clock.now(), login.refresh_expires_in
    return Grant(
        key=place.key,
        line=office.desk.entropy.token(16),
        issuer_url=issuer.url,
        subject=login.subject,
        client_id=issuer.client_id,
        scopes=login.within(place),
        refresh_token=refresh_token,
        generation=1,
        state=GrantState.READY,
        write_id=office.desk.entropy.token(16),
        created_at=now,
        refreshed_at=now,
        refresh_expires_at=None if ends is None else now + datetime.timedelta(seconds=ends),
        rotated=refresh_token != login.refresh_token,
    )
