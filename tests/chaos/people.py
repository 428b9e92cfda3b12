"""The people of the campaign and what works for them: logins, callers, and who must log in again.

Nobody logs in again before the loss of a login was looked at from all sides: a late successor may
still come from its owner or from a spool, and then nothing was lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from credbroker.demo.issuer.journal import sha256_hex
from credbroker.domain.names import GrantKey
from credbroker.wire import native
from credbroker.wire.fields import read_instant

if TYPE_CHECKING:
    import asyncio

    from tests.chaos.fleet import Broker
    from tests.chaos.houses import House
    from tests.chaos.world import World

LOGIN_CODES = {"login_needed", "grant_in_doubt", "lease_unknown", "lease_ended", "login_denied"}
_GONE = {"in_doubt", "lost"}
_ASK_SECONDS = 12.0
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_LOGIN_PAUSE_SECONDS = 3.0
_QUIET_SECONDS = 5.0
_SPOOL_QUIET_SECONDS = 16.0


@dataclass
class Member:
    """One person at one issuer, with the grant and the newest lease."""

    house: House
    person: str
    lease: str = field(default="", repr=False)
    must_log_in: bool = True
    told_lost: str = ""
    """The write that the last loss was told by, so that it counts once."""

    @property
    def segment(self) -> str:
        """Where the grant's record is."""
        return GrantKey(self.house.name, self.person, "default").segment()


@dataclass(frozen=True)
class Loss:
    """A grant that only a new login could help."""

    at: float
    house: str
    person: str
    segment: str
    generation: int
    state: str
    reason: str
    refresh_sha256: str


@dataclass(frozen=True)
class Delivery:
    """An access token in a caller's hands."""

    at: float
    broker: str
    house: str
    jti: str


@dataclass(frozen=True)
class Said:
    """What a broker answered; `code` is a problem's word, or empty."""

    status: int
    code: str
    body: dict[str, Any] = field(repr=False)


class People:
    """Everybody, and all that asks for them."""

    def __init__(self, world: World) -> None:
        """Live in `world`."""
        self._world = world
        self._clock = world.clock
        self._http: aiohttp.ClientSession | None = None
        self.members = [Member(house, one) for house in world.houses for one in house.people]
        self.losses: list[Loss] = []
        self.deliveries: list[Delivery] = []
        self.logins = 0
        self.rests = False
        """True while callers ask for nothing."""
        self.answers: dict[str, int] = {}

    async def open(self) -> None:
        """Be ready to ask brokers."""
        timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=timeout
        )

    async def close(self) -> None:
        """Ask no more."""
        if self._http is not None:
            await self._http.close()

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Let everybody's work run, and let who must log in do so."""
        brokers = list(self._world.fleet.brokers.values())
        for number, member in enumerate(self.members):
            tasks.create_task(self._look_after(member))
            for at in range(self._world.pace.callers_per_grant):
                broker = brokers[(number + at) % len(brokers)]
                tasks.create_task(self._call(member, broker))

    def members_of(self, house: House) -> list[Member]:
        """Return everybody at one issuer."""
        return [one for one in self.members if one.house is house]

    async def ask(
        self, broker: Broker, path: str, lease: str = "", body: object = None
    ) -> Said | None:
        """Ask a broker; None if there was no answer."""
        assert self._http is not None
        headers = {"Authorization": f"Bearer {lease}"} if lease else {}
        try:
            async with self._http.post(
                broker.url + path, data=json.dumps(body or {}), headers=headers
            ) as answer:
                read = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        code = str(read.get("error", "")) if answer.status >= 400 else ""
        word = code or str(answer.status)
        self.answers[word] = self.answers.get(word, 0) + 1
        return Said(answer.status, code, read)

    async def token(self, member: Member, broker: Broker, minimum_seconds: int = 0) -> Said | None:
        """Ask for an access token, and note what is given, or that a login is wanted."""
        lease = member.lease
        body = {"minimum_seconds": minimum_seconds}
        said = await self.ask(broker, native.TOKENS, lease, body)
        if said is not None and said.code in LOGIN_CODES and broker.is_right:
            member.must_log_in = member.must_log_in or lease == member.lease
        if said is not None and said.status == 200:
            self.deliveries.append(
                Delivery(
                    self._clock.elapsed(), broker.name, member.house.name, str(said.body["jti"])
                )
            )
        return said

    async def log_in(self, member: Member, broker: Broker | None = None) -> bool:
        """Take somebody through a login, at this broker or one that is well; tell if it worked."""
        broker = broker or self._world.any_well()
        if broker is None:
            return False
        asked = {"issuer": member.house.name}
        started = await self.ask(broker, native.LOGINS, body=asked)
        if started is None or started.status != 201:
            return False
        member.house.issuer.approve(started.body["user_code"], member.person)
        lease = str(started.body["login_token"])
        polled = await self.ask(broker, native.LOGIN_POLL, lease)
        if polled is None or not polled.body.get("done"):
            return False
        self.logins += 1
        member.lease, member.must_log_in = lease, False
        return True

    async def _call(self, member: Member, broker: Broker) -> None:
        """Ask one broker for one grant's token, for ever, when it says so."""
        while True:
            if self.rests or not member.lease or not broker.serves:
                await self._clock.sleep(_LOOK_SECONDS)
                continue
            said = await self.token(member, broker)
            if said is not None and said.status == 200:
                pause = _seconds_until(said.body["renew_at"], self._world)
                await self._clock.sleep(min(max(pause, 0.2), self._world.pace.access_seconds))
                continue
            await self._clock.sleep(_RETRY_SECONDS)

    async def _look_after(self, member: Member) -> None:
        """Log in whoever must, once what is lost is certainly lost."""
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            must = member.must_log_in and (not member.lease or await self._is_over(member))
            if must and not await self.log_in(member):
                await self._clock.sleep(_LOGIN_PAUSE_SECONDS)

    async def _is_over(self, member: Member) -> bool:
        """Return True once only a new login can help, False if none is needed after all."""
        record = await self._world.records.get(member.segment)
        if record is None or record["state"] not in _GONE:
            # The lease may be gone although the grant is well: a restored snapshot knew it not.
            member.must_log_in = record is None or not await self._lease_works(member)
            return member.must_log_in
        since = self._clock.elapsed()
        while self._clock.elapsed() - since < self._quiet_seconds(record, member.segment):
            await self._clock.sleep(_LOOK_SECONDS)
            if not self._world.is_calm_for(member.segment, int(record["generation"])):
                since = self._clock.elapsed()
        later = await self._world.records.get(member.segment)
        if later is None or later["write_id"] != record["write_id"]:
            return False
        if not await self._is_still_refused(member):
            return False
        if member.told_lost != later["write_id"]:
            member.told_lost = str(later["write_id"])
            self.losses.append(self.loss(member, later))
        return True

    def _quiet_seconds(self, record: dict[str, Any], segment: str) -> float:
        """A successor in a spool is handed in at a beat, which may be 10 s away."""
        coming = int(record["generation"]) + 1
        spooled = self._world.points.spooled_by_any(segment, coming)
        return _SPOOL_QUIET_SECONDS if spooled else _QUIET_SECONDS

    def loss(self, member: Member, record: dict[str, Any]) -> Loss:
        """Return what a record says as a loss."""
        token = record.get("refresh_token")
        return Loss(
            self._clock.elapsed(), member.house.name, member.person, member.segment,
            int(record["generation"]), str(record["state"]), str(record.get("reason") or ""),
            sha256_hex(token) if token else "",
        )  # fmt: skip

    async def _lease_works(self, member: Member) -> bool:
        broker = self._world.any_well()
        said = await self.token(member, broker) if broker is not None else None
        return said is None or said.code not in LOGIN_CODES

    async def _is_still_refused(self, member: Member) -> bool:
        broker = self._world.any_well()
        said = await self.token(member, broker, 1) if broker is not None else None
        return said is not None and said.code in LOGIN_CODES


def _seconds_until(text: str, world: World) -> float:
    return (read_instant(text, "A broker") - world.clock.now()).total_seconds()
