"""Gives services tokens by the grants of OAuth: about themselves, exchanged, and for refresh tokens.

- Where nothing must be stored first, memory is enough: keys, clients and revocations are there.
  What must be stored is, before the answer, and waits for that as long as its client allows.
- An exchanged token is within the one it came from and ends no later; who acts is recorded in `act`.
- Each token stands in the trail before it is given.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from credbroker.broker.containing import Containing
from credbroker.broker.issuing.clients import Clients
from credbroker.broker.issuing.offline import Offer, Offlines
from credbroker.broker.issuing.remembering import Remembering
from credbroker.broker.issuing.reusing import Reusing
from credbroker.broker.issuing.signing import Signed, Signing, Statement
from credbroker.broker.issuing.trail import about_signed
from credbroker.broker.leasing import Origin
from credbroker.broker.running import Means
from credbroker.broker.trail import whence
from credbroker.domain.actors import acting
from credbroker.domain.attenuation import Right
from credbroker.domain.clients import Client
from credbroker.domain.errors import ClientNotAllowed, ScopeRefused, TokenRefused
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import OFFLINE, Asked, Decision, Entitled, decide
from credbroker.domain.scopes import ScopeItem, ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.wire.issued import read_refresh_text

MOST_DECIDED = 1024
# The right and the groups that were given before.
_Given = tuple[Right, tuple[str, ...]]
MOST_ACTORS = 8
"""A token that went through more hands than these is exchanged no more: it would grow for ever."""


class ClientCaller(NamedTuple):
    """A service that asks, and until when (`Clock.elapsed`) it must be answered."""

    client: Client
    origin: Origin
    answer_by: float


class Granted(NamedTuple):
    """What a service is given. `token` says by its scopes what was allowed."""

    token: AccessToken
    seconds_left: int
    refresh_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """What a token is signed from: by which grant, and which token that was."""

    by: str
    subject_jti: str | None = None


class Granting:
    """The grants of one community."""

    def __init__(
        self,
        community: str,
        clients: Clients,
        table: LifetimeTable,
        signing: Signing,
        offlines: Offlines,
        *,
        containing: Containing,
        means: Means,
    ) -> None:
        """Give the `clients` what their settings allow, for as long as `table` says."""
        self.clients = clients
        self._community = community
        self._table = table
        self._signing = signing
        self._offlines = offlines
        self._containing = containing
        self._reusing = Reusing(means.clock)
        self._decided = Remembering[tuple[Decision, Statement]](MOST_DECIDED)
        self._narrowed = Remembering[Decision](MOST_DECIDED)
        self._audit = means.audit
        self._clock = means.clock

    # -- about the client itself -----------------------------------------------------------------

    async def client_credentials(self, caller: ClientCaller, asked: Asked) -> Granted:
        """Return a token about the client itself (RFC 6749 section 4.4); nothing is stored for it.

        Raises `ClientNotAllowed`, `ScopeRefused`, `AudienceRefused`, and `Unavailable` kinds.
        """
        client = caller.client
        await self._admit(caller, "client_credentials")
        decision, statement = self._about_itself(client, asked)
        token = self._reusing.find(client, decision)
        if token is not None and self._counts(client, token):
            said = {**about_signed(token, client.id, self._community), **whence(caller.origin)}
            await self._audit.record("delivery", **said, by="client_credentials")
            return self._granted(token)
        token = await self._signed(caller, statement, _Source("client_credentials"))
        self._reusing.keep(client, decision, token)
        return self._granted(token)

    def _about_itself(self, client: Client, asked: Asked) -> tuple[Decision, Statement]:
        """Return what is decided and signed, which stays so: neither clients nor the table change."""
        key = (client.id, asked)
        known = self._decided.get(key)
        if known is None:
            decision = decide(client.entitled, asked, self._table)
            known = decision, _statement(client.id, client.id, decision)
            self._decided.keep(key, known)
        return known

    def _counts(self, client: Client, token: AccessToken) -> bool:
        """True if what may be given again was not revoked, nor its key withdrawn, as known here."""
        is_ended = self._containing.ends_signed(self._community, client.id, token)
        return not is_ended and self._signing.counts(token)

    # -- exchange --------------------------------------------------------------------------------

    async def exchange(
        self,
        caller: ClientCaller,
        asked: Asked,
        subject_token: Secret,
        *,
        actor_token: Secret | None = None,
        refresh: bool = False,
    ) -> Granted:
        """Return a token within one of ours that is shown, and with `refresh` a refresh token.

        RFC 8693. A refresh token is also given to who names `offline_access`; the subject's token
        must hold that scope. A repetition gets the same refresh token. Raises as
        `client_credentials`, `TokenRefused`, and `StoreUnavailable` kinds if a refresh token cannot
        be stored in time.
        """
        client = caller.client
        await self._admit(caller, "token_exchange")
        subject = await self._verified(subject_token)
        if not client.may_exchange(subject.client_id):
            raise ClientNotAllowed(
                f"The client {client.id} may not exchange tokens that another client was given.",
                "Have the operator name that client in exchanges_for.",
            )
        actor = await self._actor(caller, subject, actor_token)
        offline = refresh or (asked.scopes is not None and OFFLINE in asked.scopes.items)
        if offline:
            _check_offline(client, subject)
        decision = self._within(subject.token.jti, _of_token(subject), client, asked)
        text = None
        if offline:
            offer = Offer(
                client.id, subject, decision, actor, self._offline_seconds(subject, client)
            )
            text = (await self._offlines.begin(offer, caller.answer_by)).text
        statement = _statement(
            subject.token.subject, client.id, decision, actor, subject.token.expires_at
        )
        source = _Source("token_exchange", subject.token.jti)
        return self._granted(await self._signed(caller, statement, source), text)

    async def _verified(self, shown: Secret) -> Signed:
        subject = await self._signing.verify(shown)
        judge(subject, self._community, self._containing)
        return subject

    async def _actor(
        self, caller: ClientCaller, subject: Signed, actor_token: Secret | None
    ) -> Mapping[str, object] | None:
        """Return the `act` claim: who acts now, around who acted before (RFC 8693 section 4.1)."""
        name = caller.client.id
        if actor_token is not None:
            actor = await self._verified(actor_token)
            # A service holds tokens about others, who do not act here.
            if (actor.client_id, actor.token.subject) != (name, name):
                raise TokenRefused("The actor's token is not about the client that shows it.")
        if name == subject.token.subject:
            return subject.actor
        if len(list(acting(subject.actor))) >= MOST_ACTORS:
            raise TokenRefused("This token went through too many hands to be exchanged again.")
        return {"sub": name} if subject.actor is None else {"sub": name, "act": subject.actor}

    def _offline_seconds(self, subject: Signed, client: Client) -> float:
        """Return how long a refresh token lasts: as its first client's settings say, if it has any."""
        first = self.clients.get(subject.client_id)
        return (first or client).offline_seconds

    # -- refresh tokens --------------------------------------------------------------------------

    async def refresh(self, caller: ClientCaller, asked: Asked, refresh_token: Secret) -> Granted:
        """Return a token for a refresh token of ours, and the one to show next time.

        RFC 6749 section 6. That is the same one, unless the client rotates: then it is stored before
        this returns. Raises as `exchange` does.
        """
        client = caller.client
        await self._admit(caller, "refresh_token")
        shown = read_refresh_text(refresh_token)
        if shown is None:
            raise TokenRefused("This is no refresh token of this issuer.")
        held = await self._offlines.use(shown, client, caller.answer_by)
        issued = held.issued
        decision = self._within(issued.id, (issued.right, issued.groups), client, asked)
        statement = _statement(issued.subject, client.id, decision, issued.actor, issued.ends_at)
        source = _Source("refresh_token", issued.subject_jti)
        token = await self._signed(caller, statement, source)
        # Last, so that whatever goes wrong before leaves the one that was shown as it was.
        return self._granted(token, await self._offlines.renewed(held, caller.answer_by))

    # -- common ----------------------------------------------------------------------------------

    async def _admit(self, caller: ClientCaller, grant: str) -> None:
        """Return if this client may use that grant now, by revocations that are not too old."""
        caller.client.check_may(grant)
        left = caller.answer_by - self._clock.elapsed()
        await self._containing.admit_client(self._community, caller.client.id, left)

    def _within(self, source: str, given: _Given, client: Client, asked: Asked) -> Decision:
        """Return what is signed within what was given before: never wider.

        `source` stands for that and nothing else, so that what is decided stays so.
        """
        key = (source, client.id, asked)
        known = self._narrowed.get(key)
        if known is None:
            known = self._narrower(_whole(*given, client), asked)
            self._narrowed.keep(key, known)
        return known

    def _narrower(self, whole: Entitled, asked: Asked) -> Decision:
        decision = decide(whole, replace(asked, scopes=_but_offline(asked.scopes)), self._table)
        if len(whole.scopes) and not len(decision.right.scopes):
            raise ScopeRefused("Nothing is left to ask for: name at least one scope.")
        groups = tuple(ScopeItem("wlcg.groups", group) for group in whole.groups)
        most = Right(ScopeSet(whole.scopes.items + groups), whole.audiences)
        if not decision.right.within(most):
            raise ScopeRefused(
                "Groups alone would be wider than groups with capabilities.",
                "Ask for a capability too.",
            )
        return decision

    async def _signed(
        self, caller: ClientCaller, statement: Statement, source: _Source
    ) -> AccessToken:
        token = await self._signing.sign(statement)
        await self._audit.record(
            "sign",
            **about_signed(token, statement.client_id, self._community),
            **whence(caller.origin),
            by=source.by,
            subject_jti=source.subject_jti,
        )
        return token

    def _granted(self, token: AccessToken, refresh_token: Secret | None = None) -> Granted:
        return Granted(token, int(token.seconds_left(self._clock.now())), refresh_token)


def _statement(
    subject: str,
    client_id: str,
    decision: Decision,
    actor: Mapping[str, object] | None = None,
    not_after: datetime.datetime | None = None,
) -> Statement:
    right = decision.right
    return Statement(
        subject=subject,
        client_id=client_id,
        scopes=right.scopes,
        audiences=right.audiences,
        seconds=decision.seconds,
        groups=decision.groups,
        actor=actor,
        not_after=not_after,
    )


def judge(signed: Signed, community: str, containing: Containing) -> None:
    """Raise `TokenRefused` if a mark ends a token of this community; see `Containing.judge_signed`."""
    token = signed.token
    containing.judge_signed(community, signed.names, token.jti, token.issued_at)


def _of_token(subject: Signed) -> _Given:
    """Return all that a token says it gives."""
    token = subject.token
    return Right(token.scopes, token.audiences), token.groups


def _whole(right: Right, groups: tuple[str, ...], client: Client) -> Entitled:
    """Return what was given before as the most that may come of it: no refresh token of its own."""
    scopes = right.scopes.rights()
    return Entitled(
        scopes=scopes,
        audiences=right.audiences,
        default_scopes=scopes,
        default_audiences=right.audiences,
        longest_seconds=client.entitled.longest_seconds,
        groups=groups,
    )


def _check_offline(client: Client, subject: Signed) -> None:
    """Raise unless this client may be given a refresh token for what the subject's token says."""
    client.check_may("refresh_token")
    if OFFLINE not in subject.token.scopes.items:
        raise ScopeRefused(
            "The token that was shown does not hold offline_access.",
            "Have it asked for with offline_access, or exchange it for an access token alone.",
        )


def _but_offline(scopes: ScopeSet | None) -> ScopeSet | None:
    """Return what is asked for without `offline_access`, which asks for a refresh token only."""
    if scopes is None:
        return None
    return ScopeSet(tuple(item for item in scopes if item != OFFLINE))
