"""Recognises hosts: by a certificate, or by what their key signed, and then by the session's token.

- A proof opens one session. Where the session of a signed assertion lies is told by the assertion's
  own `jti`, so writing it is what makes the assertion single, at whichever replica it is shown: a
  memory of this process would not do, and a mark of its own would be a second write.
- A host that was contained is let in by no proof from before, and its sessions are over.
- Groups go by the settings of this moment, not by those when the session began.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from credbroker.broker.containing import Containing
from credbroker.broker.deliveries.joining import Joining, Signatures
from credbroker.broker.leasing import Origin
from credbroker.broker.recall import ANSWER_SECONDS, Recall
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.turns import Turns
from credbroker.domain.deliveries import Target
from credbroker.domain.errors import Malformed, NotAllowed, RecordDamaged
from credbroker.domain.hosts import (
    HOST_TOKEN,
    HostCertificate,
    HostSecret,
    HostSession,
    check_assertion,
    check_host_name,
    check_session,
    groups_of,
    name_in,
    session_of,
    session_place,
)
from credbroker.domain.limits import Allowance
from credbroker.domain.secret import Secret
from credbroker.ports import RecordStore, StaleVersionError
from credbroker.wire.jwt import peek

# A host that starts again opens one; each is a record that stays for hours.
PACE = Allowance(per_second=1 / 60, burst=20)

_JOIN = "Join the host first: credbroker admin host-join NAME"


@dataclass(frozen=True, slots=True)
class HostRules:
    """What the settings say: whose certificates count, who is in which group, where we are.

    `port` is where we listen.
    """

    public_url: str
    names: Collection[str] = ()
    groups: Mapping[str, Collection[str]] = field(default_factory=dict)
    port: int = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        """How hosts may call us: at our own port, too, where `public_url` is that of the pages."""
        url = urlsplit(self.public_url.rstrip("/"))
        own = url if url.port else url._replace(netloc=f"{url.netloc}:{self.port}")
        return url.geturl(), own.geturl()


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A host that has shown who it is, and where its request comes from."""

    name: str
    groups: tuple[str, ...]
    session: HostSession
    origin: Origin

    @property
    def targets(self) -> tuple[Target, ...]:
        """Whose orders go to this host: its own, and those of its groups."""
        return (Target(self.name), *(Target(group, is_group=True) for group in self.groups))


class Hosting:
    """All hosts, as this process sees them."""

    def __init__(
        self,
        sessions: RecordStore[HostSession],
        joining: Joining,
        means: Means,
        *,
        signatures: Signatures,
        containing: Containing,
        rules: HostRules,
    ) -> None:
        """Keep `sessions`; the keys are those of hosts that came by `joining`."""
        self._sessions = sessions
        self._recall = Recall(sessions, means.clock, fresh_seconds=float("inf"))
        self._joining = joining
        self._signatures = signatures
        self._containing = containing
        self._rules = rules
        self._means = means
        self._audit = means.audit
        self._turns = Turns(means.clock, PACE, "This host opens sessions too often.")

    async def by_certificate(
        self, certificate: HostCertificate, origin: Origin
    ) -> tuple[HostSecret, KnownHost]:
        """Open a session for the host of a certificate that the connection has verified.

        Raises `NotAllowed`, `LeaseEnded` if it was contained, `TooManyRequests`, and
        `StoreUnavailable` kinds.
        """
        now = self._means.clock.now()
        name = name_in(certificate, self._rules.names, now)
        await self._admit(name, origin, certificate.not_before)
        place = self._means.entropy.token(16)
        return await self._open(place, name, origin, "certificate", certificate.not_after)

    async def by_assertion(self, assertion: Secret, origin: Origin) -> tuple[HostSecret, KnownHost]:
        """Open a session for the host that has signed this, by the key that it joined with.

        Raises as `by_certificate` does, and for an assertion that was used.
        """
        now = self._means.clock.now()
        name = _named_in(assertion)
        host = await self._joining.host(name)
        if host is None or not host.key or host.joined_at is None:
            raise NotAllowed("No host of this name has joined with a key.", _JOIN)
        claims = self._signatures.signed_by(host.key, assertion)
        jti = check_assertion(claims, name, self._rules.addresses, now)
        await self._admit(name, origin, host.joined_at)
        return await self._open(session_place(name, jti), name, origin, "key")

    async def identify(self, shown: HostSecret, origin: Origin) -> KnownHost:
        """Return the host that shows this token.

        Raises `LeaseUnknown`, `LeaseEnded`, and `StoreUnavailable` kinds if it is not known here and
        the store says nothing in time.
        """
        await self._look_around()
        try:
            found = (await self._recall.get(shown.place, ANSWER_SECONDS)).value
        except RecordDamaged:  # which is also what a host's lease looks like from here
            found = None
        session = check_session(found, shown, self._means.clock.now())
        for address in {session.origin, origin.address}:
            self._containing.judge_host(session.host, address, session.created_at)
        return self._known(session, origin)

    async def _admit(self, name: str, origin: Origin, proved_at: datetime.datetime) -> None:
        await self._look_around()
        for moment in (proved_at, self._means.clock.now()):
            self._containing.judge_host(name, origin.address, moment)
        await self._turns.wait(name)

    async def _look_around(self) -> None:
        if not self._containing.is_fresh:
            await self._containing.confirm(ANSWER_SECONDS)

    async def _open(
        self,
        place: str,
        name: str,
        origin: Origin,
        proof: str,
        until: datetime.datetime | None = None,
    ) -> tuple[HostSecret, KnownHost]:
        self._means.check_clock()
        secret = Secret("host token", self._means.entropy.token(32))
        token, now = HostSecret(HOST_TOKEN, place, secret), self._means.clock.now()
        session = session_of(token, name, origin.address, now, until)
        try:
            await put_surely(
                self._sessions,
                place,
                session,
                0,
                is_ours=lambda found: found.secret_hash == session.secret_hash,
            )
        except StaleVersionError:
            raise NotAllowed("This assertion was used before.", "Sign a new one.") from None
        self._recall.learn(place, session)
        await self._audit.record(
            "host_session",
            request_id=origin.request_id,
            address=origin.address,
            lease=session.id,
            host=name,
            proof=proof,
            ends_at=session.ends_at,
        )
        return token, self._known(session, origin)

    def _known(self, session: HostSession, origin: Origin) -> KnownHost:
        groups = groups_of(session.host, self._rules.groups)
        named = Origin(origin.address, origin.request_id, session.host)
        return KnownHost(session.host, groups, session, named)


def _named_in(assertion: Secret) -> str:
    """Return whom an assertion claims to be from, which nothing has proved yet."""
    try:
        _, claims = peek(assertion)
        return check_host_name(claims.text("iss"))
    except Malformed as error:
        raise NotAllowed("This is no assertion of a host.", error.sentence) from None
