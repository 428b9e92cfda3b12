"""The native API under `/api/v1`: login, leases, tokens, grants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.api.callers import identify, is_there, origin, shown_token
from credbroker.api.operations import Operation, answer_with
from credbroker.api.outlook import Outlook
from credbroker.api.strangers import Strangers
from credbroker.broker.ending import Ending
from credbroker.broker.leasing import Caller, Leasing
from credbroker.broker.logins.enrolling import Enrolling
from credbroker.broker.minting import Minted, Minting
from credbroker.broker.stepping import Stepping
from credbroker.domain.attenuation import Wanted
from credbroker.domain.errors import Malformed
from credbroker.domain.grants import GrantState
from credbroker.domain.leases import Lease, check_login
from credbroker.domain.losses import why_lost
from credbroker.domain.scopes import ScopeSet
from credbroker.wire import native

_GOOD = frozenset({GrantState.READY, GrantState.CLAIMED})


@dataclass(frozen=True, slots=True)
class Offered:
    """An issuer as callers see it: its exact issuer string, and its roles, the default first."""

    url: str
    roles: Sequence[str]


class NativeApi:
    """Takes requests apart, calls one deed each, writes the answers."""

    def __init__(
        self,
        enrolling: Enrolling,
        leasing: Leasing,
        minting: Minting,
        ending: Ending,
        issuers: Mapping[str, Offered],
        *,
        stepping: Stepping,
        strangers: Strangers,
        outlook: Outlook,
    ) -> None:
        """Serve these deeds, for `issuers` by their short names; `strangers` counts who is nobody."""
        self._enrolling = enrolling
        self._leasing = leasing
        self._stepping = stepping
        self._minting = minting
        self._ending = ending
        self._issuers = issuers
        self._strangers = strangers
        self._outlook = outlook

    def operations(self) -> list[Operation]:
        """Return all that this API offers."""
        return [
            Operation("GET", native.ISSUERS, "listIssuers", "The issuers and roles served here.",
                      self.issuers, gives=native.IssuersOffered, shows="nothing"),
            Operation("POST", native.LOGINS, "startLogin", "Begin a device login.",
                      self.start_login, 201, native.StartLogin, native.LoginStarted, "nothing"),
            Operation("POST", native.LOGIN_POLL, "pollLogin", "Ask whether the person has confirmed.",
                      self.poll_login, gives=native.LoginState),
            Operation("POST", native.TOKENS, "getToken", "Get an access token.",
                      self.token, takes=native.AskToken, gives=native.TokenGiven),
            Operation("POST", native.LEASES, "makeLease", "Make a job's own narrow lease.",
                      self.make_lease, 201, native.AskLease, native.LeaseGiven),
            Operation("GET", native.LEASE_SELF, "showLease", "How this lease and its grant stand.",
                      self.show_lease, gives=native.LeaseStatus),
            Operation("DELETE", native.LEASE_SELF, "endLease", "End this lease and those made from it.",
                      self.end_lease, 204),
            Operation("DELETE", native.GRANT_SELF, "logOut", "Revoke the grant and end all its leases.",
                      self.log_out, gives=native.LoggedOut),
        ]  # fmt: skip

    async def issuers(self, _request: web.Request) -> web.Response:
        """List issuers and roles."""
        offered = [
            native.IssuerOffered(name, list(one.roles))
            for name, one in sorted(self._issuers.items())
        ]
        return answer_with(native.IssuersOffered(offered))

    async def start_login(self, request: web.Request) -> web.Response:
        """Begin a device login."""
        self._strangers.count(request)
        asked = native.StartLogin.read(await body_of(request))
        started = await self._enrolling.start(asked.issuer, asked.role, origin(request))
        login, shown = started.login, started.shown
        return answer_with(
            native.LoginStarted(
                login_token=started.token.text(),
                issuer=login.issuer,
                role=login.role,
                scopes=login.scopes.texts(),
                user_code=shown.user_code,
                verification_uri=shown.verification_uri,
                verification_uri_complete=shown.verification_uri_complete,
                expires_at=login.expires_at,
                interval_seconds=login.interval_seconds,
            ),
            status=201,
        )

    async def poll_login(self, request: web.Request) -> web.Response:
        """Ask whether the person has confirmed."""
        with self._strangers.counted_unless_known(request):
            found = await self._enrolling.poll(shown_token(request), origin(request))
        if isinstance(found, Lease):
            state = native.LoginState(
                done=True,
                interval_seconds=0.0,
                credkey=found.key.credkey,
                lease_ends_at=found.ends_at,
                issuer_url=self._issuers[found.key.issuer].url,
            )
        else:
            state = native.LoginState(done=False, interval_seconds=found.interval_seconds)
        return answer_with(state)

    async def token(self, request: web.Request) -> web.Response:
        """Get an access token."""
        with self._strangers.counted_unless_known(request):
            shown = shown_token(request)
            asked = native.AskToken.read(await body_of(request))
            if asked.next_hash is None:
                caller = await self._leasing.identify(shown, origin(request))
            else:
                caller = await self._stepping.identify(
                    shown, asked.next_hash, origin(request), is_heard=lambda: is_there(request)
                )
        minted = await self._minting.mint_access_token(caller, wanted_of(asked))
        return answer_with(replace(given_of(minted), next_taken=caller.next_taken))

    async def make_lease(self, request: web.Request) -> web.Response:
        """Make a job's own narrow lease."""
        caller = await self._caller(request)
        check_login(caller.lease)
        asked = native.AskLease.read(await body_of(request))
        if asked.lifetime_seconds <= 0:
            raise Malformed("A lease must last at least a second.")
        if not asked.scopes or not asked.audiences:
            raise Malformed("A job's lease names at least one scope and one audience.")
        wanted = Wanted(ScopeSet.of(asked.scopes), tuple(asked.audiences))
        right = await self._minting.right_of(caller, wanted)
        token, lease = await self._leasing.make_child(
            caller, right, job=asked.job, seconds=asked.lifetime_seconds, starts=asked.starts
        )
        given = native.LeaseGiven(token.text(), lease.id, asked.job, lease.ends_at)
        return answer_with(given, status=201)

    async def show_lease(self, request: web.Request) -> web.Response:
        """Tell how the lease and its grant stand."""
        caller = await self._caller(request)
        grant, _ = await self._minting.grant_of(caller)
        lease, outlook = caller.lease, self._outlook.grant(grant)
        refused = None if grant.state in _GOOD else why_lost(grant)
        scopes = lease.ceiling.scopes if lease.ceiling.scopes is not None else grant.scopes.rights()
        return answer_with(
            native.LeaseStatus(
                issuer=lease.key.issuer,
                role=lease.key.role,
                credkey=lease.key.credkey,
                scopes=scopes.texts(),
                lease_ends_at=lease.ends_at,
                grant_state=grant.state.value,
                last_refresh_at=grant.refreshed_at,
                job=lease.job,
                grant_ends_at=grant.refresh_expires_at,
                log_in_before=outlook.log_in_before,
                trouble=outlook.trouble,
                tokens_last_until=outlook.tokens_last_until,
                narrowing=outlook.narrowing,
                starts=_starts_of(lease),
                most_starts=lease.starts.most if lease.starts is not None else None,
                last_error=refused.sentence if refused is not None else None,
                remedy=refused.remedy if refused is not None else None,
            )
        )

    async def end_lease(self, request: web.Request) -> web.Response:
        """End the lease and those made from it."""
        await self._leasing.end(await self._caller(request))
        return web.Response(status=204)

    async def log_out(self, request: web.Request) -> web.Response:
        """Revoke the grant at the issuer and end all its leases."""
        caller = await self._caller(request)
        ended = await self._ending.log_out(caller)
        return answer_with(native.LoggedOut(ended.revoked, ended.tokens_until))

    async def _caller(self, request: web.Request) -> Caller:
        return await identify(request, self._leasing, self._strangers)


def _starts_of(lease: Lease) -> list[native.JobStart] | None:
    if lease.starts is None:
        return None
    return [native.JobStart(one.at, one.address) for one in lease.starts.made]


def given_of(minted: Minted) -> native.TokenGiven:
    """Return the message that carries a token."""
    token = minted.token
    return native.TokenGiven(
        access_token=token.value,
        issuer=minted.issuer,
        issuer_url=token.issuer_url,
        scopes=token.scopes.texts(),
        audiences=list(token.audiences),
        jti=token.jti,
        expires_at=token.expires_at,
        renew_at=minted.renew_at,
    )


def wanted_of(asked: native.AskToken | native.AskUnder) -> Wanted:
    """Return what is asked for; raise `Malformed`."""
    if asked.minimum_seconds < 0:
        raise Malformed("minimum_seconds must not be negative.")
    return Wanted(
        scopes=ScopeSet.of(asked.scopes) if asked.scopes is not None else None,
        audiences=tuple(asked.audiences) if asked.audiences is not None else None,
        floor_seconds=asked.minimum_seconds,
        about=asked.about if isinstance(asked, native.AskUnder) else None,
    )
