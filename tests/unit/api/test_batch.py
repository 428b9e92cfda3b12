"""Many tokens in one request: each entry for itself."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from credbroker.api.app import build_app
from credbroker.api.batch import LARGEST_BATCH_BYTES, READY_SECONDS, BatchApi
from credbroker.api.strangers import Strangers
from credbroker.broker.leasing import Caller
from credbroker.broker.minting import Minted
from credbroker.broker.running import Means
from credbroker.domain.attenuation import Wanted
from credbroker.domain.leases import LeaseToken
from credbroker.domain.limits import Allowance
from credbroker.domain.names import GrantKey
from credbroker.wire import native
from credbroker.wire.files import LINES
from credbroker.wire.native import MOST_IN_A_BATCH
from tests.fakes.clock import turns
from tests.unit.broker.world import ISSUER, ROLE, Replica, World

if TYPE_CHECKING:
    from aiohttp import ClientResponse, web

BURST = 20
READ, LESS = "storage.read:/", "compute.read"


class Served:
    """The address of a broker with a few people."""

    def __init__(self) -> None:
        self.world = World()
        self.replica: Replica = self.world.replica()
        self.client: TestClient[web.Request, web.Application]

    async def lease(self, credkey: str) -> str:
        """Return the lease token of somebody who has logged in."""
        grant = await self.world.give_grant_to(credkey, f"first-{credkey}")
        token, _ = await self.world.give_lease(self.replica, grant.key, grant.line)
        return token.text().reveal()

    async def ask(self, *entries: dict[str, Any]) -> list[dict[str, Any]]:
        """Ask for a batch; return what became of each entry."""
        async with self.client.post(native.TOKENS_BATCH, json={"entries": entries}) as answer:
            assert answer.status == 200, await answer.text()
            return list((await answer.json())["entries"])


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """That address, on loopback."""
    one = Served()
    world, replica = one.world, one.replica
    strangers = Strangers(Allowance(1.0, BURST), world.clock)
    means = Means(world.audit, world.clock, world.entropy, replica.deeds)
    api = BatchApi(replica.leasing, replica.minting, means, strangers=strangers)
    app = build_app(api.operations(), [], world.entropy, world.audit, "https://broker.test")
    async with TestClient(TestServer(app)) as one.client:
        yield one


def entry(lease: str, *scopes: str, **more: Any) -> dict[str, Any]:
    """Return one entry."""
    return {"lease_token": lease, "scopes": list(scopes or [READ]), **more}


def words(answers: list[dict[str, Any]]) -> list[str]:
    """Return the stable word of each entry's problem, or "given"."""
    return [one["problem"]["error"] if "problem" in one else "given" for one in answers]


def unknown(number: int) -> str:
    """Return a lease token that nobody was given."""
    return f"cb_{number:022d}.{'a' * 43}"


async def test_each_entry_gets_its_own_token_or_its_own_problem(served: Served) -> None:
    """In the order in which they were asked, with one audit line each."""
    ada, ben = await served.lease("ada"), await served.lease("ben")
    answers = await served.ask(
        entry(ada),
        entry(unknown(1)),
        entry(ben, LESS),
        entry(ada, "storage.modify:/"),
        entry("no lease"),
        entry(ben, "not\na scope"),
        entry(ada, minimum_seconds=-1),
    )
    assert words(answers) == [
        "given", "lease_unknown", "given", "outside_ceiling",
        "lease_unknown", "malformed", "malformed",
    ]  # fmt: skip
    assert answers[0]["given"]["scopes"] == [READ]
    assert answers[2]["given"]["scopes"] == [LESS]
    problem = answers[1]["problem"]
    assert set(problem) == {"error", "message", "remedy", "request_id"}
    counted = Counter(served.world.audit.events())
    assert (counted["mint"], counted["refused"]) == (2, 5)


async def test_a_fault_that_nobody_foresaw_concerns_its_own_lease_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it in recognising a lease or in minting: the others get theirs."""
    ada, ben, eve = [await served.lease(name) for name in ("ada", "ben", "eve")]
    leasing, minting = served.replica.leasing, served.replica.minting
    identify, mint = leasing.identify, minting.mint_access_token

    async def stumble(shown: LeaseToken, *args: Any, **more: Any) -> Caller:
        if shown.text().reveal() == eve:
            raise ZeroDivisionError
        return await identify(shown, *args, **more)

    async def fall(caller: Caller, wanted: Wanted) -> Minted:
        if caller.lease.key.credkey == "ben":
            raise ZeroDivisionError
        return await mint(caller, wanted)

    monkeypatch.setattr(leasing, "identify", stumble)
    monkeypatch.setattr(minting, "mint_access_token", fall)
    answers = await served.ask(entry(ada), entry(eve), entry(ben), entry(eve))
    assert words(answers) == ["given", "broker_fault", "broker_fault", "broker_fault"]


async def test_a_lease_that_has_ended_concerns_its_own_entries_alone(served: Served) -> None:
    """However often it is shown."""
    ada, ben = await served.lease("ada"), await served.lease("ben")
    token = native.AskUnder.read(b'{"lease_token":"%s"}' % ben.encode()).shown()
    stored = await served.world.leases.get(token.id)
    assert stored is not None
    served.world.clock.advance((stored.value.ends_at - served.world.clock.now()).total_seconds())
    fresh = await served.lease("carl")
    answers = await served.ask(entry(ben), entry(fresh), entry(ada), entry(ben, LESS))
    assert words(answers) == ["lease_ended", "given", "lease_ended", "lease_ended"]


async def test_one_slow_issuer_does_not_delay_the_others_of_a_batch(served: Served) -> None:
    """After two seconds the rest is told to come again; by then it is there, fetched once."""
    ada, ben = await served.lease("ada"), await served.lease("ben")
    assert words(await served.ask(entry(ada))) == ["given"]
    served.world.issuer.swallow()
    asking = asyncio.ensure_future(served.ask(entry(ben), entry(ada), entry(ben, LESS)))
    while served.world.issuer.posts["first-ben"] == 0:
        await turns(1)
    served.world.clock.advance(READY_SECONDS)
    assert words(await asking) == ["busy", "given", "busy"]
    served.world.issuer.mend()
    while words(await served.ask(entry(ben))) != ["given"]:
        pass
    assert served.world.issuer.posts["first-ben"] == 1


async def test_a_fault_inside_one_entry_is_no_fault_of_the_batch(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody foresaw it; the others have their tokens."""
    ada, ben = await served.lease("ada"), await served.lease("ben")
    grant_of = served.replica.minting.grant_of

    async def breaks(caller: Caller, **more: Any) -> Any:
        if caller.lease.key == GrantKey(ISSUER, "ben", ROLE):
            raise ZeroDivisionError
        return await grant_of(caller, **more)

    monkeypatch.setattr(served.replica.minting, "grant_of", breaks)
    assert words(await served.ask(entry(ben), entry(ada))) == ["broker_fault", "given"]


async def test_unknown_leases_of_a_batch_use_the_addresss_allowance_up(served: Served) -> None:
    """As many as in requests of their own; the rest costs neither a read nor an audit line."""
    ada = await served.lease("ada")
    assert words(await served.ask(entry(ada))) == ["given"]
    reads = served.world.leases.reads
    answers = await served.ask(*(entry(unknown(number)) for number in range(255)), entry(ada))
    found = Counter(words(answers))
    assert found == {"lease_unknown": BURST, "too_many_requests": 255 - BURST, "given": 1}
    assert served.world.leases.reads - reads == BURST
    assert Counter(served.world.audit.events())["refused"] == BURST


async def test_as_many_good_leases_as_fit_are_looked_up_although_none_was_seen_before(
    served: Served,
) -> None:
    """An agent with many leases starts; the allowance of strangers is less. One answer for all."""
    leases = [await served.lease(f"person-{number}") for number in range(3 * BURST)]
    answers = await served.ask(*(entry(lease) for lease in leases))
    assert words(answers) == ["given"] * len(leases)


async def test_too_much_in_one_batch_is_refused_as_a_whole(served: Served) -> None:
    """More entries, more bytes, or what cannot be read; this counts as coming from a stranger."""
    ada = await served.lease("ada")
    long = [f"storage.read:/{'x' * 100}/{number}" for number in range(5)]
    many = [entry(ada, *long)] * 300
    assert len(many) == len(await served.ask(*many))
    for body in (
        {"entries": [entry("x")] * (MOST_IN_A_BATCH + 1)},
        {"entries": [entry("x" * LARGEST_BATCH_BYTES)]},
        {"entries": [{"scopes": [READ]}]},
        {"entries": [{**entry(ada), "scope": READ}]},
    ):
        sent = io.BytesIO(json.dumps(body).encode())
        async with served.client.post(native.TOKENS_BATCH, data=sent) as answer:
            assert (answer.status, (await answer.json())["error"]) == (400, "malformed")
    statuses = Counter[int]()
    for _ in range(2 * BURST):
        async with served.client.post(native.TOKENS_BATCH, data=b"{") as answer:
            statuses[answer.status] += 1
    assert statuses == {400: BURST - 4, 429: BURST + 4}


async def test_a_lease_that_openbao_keeps_silent_about_delays_no_other(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told so in time; who is known has the token."""
    ada, ben = await served.lease("ada"), await served.lease("ben")
    assert words(await served.ask(entry(ada))) == ["given"]
    silent = native.AskUnder.read(json.dumps({"lease_token": unknown(1)}).encode()).shown().id
    asked, get = asyncio.Event(), served.world.leases.get

    async def hangs(segment: str) -> Any:
        if segment == silent:
            asked.set()
            await asyncio.Event().wait()
        return await get(segment)

    monkeypatch.setattr(served.world.leases, "get", hangs)
    asking = asyncio.ensure_future(served.ask(entry(unknown(1)), entry(ada), entry(ben)))
    await asked.wait()
    served.world.clock.advance(READY_SECONDS)
    assert words(await asking) == ["store_unavailable", "given", "given"]


async def lines_of(answer: ClientResponse) -> list[dict[str, Any]]:
    """Return the lines of an answer, read."""
    return [json.loads(line) async for line in answer.content]


async def test_who_takes_lines_gets_each_entry_in_a_line_of_its_own(served: Served) -> None:
    """With its number, in whatever order they come; the same is on the trail."""
    ada, ben = await served.lease("ada"), await served.lease("ben")
    entries = [entry(ada), entry(unknown(1)), entry(ben), entry(ada, "storage.modify:/")]
    async with served.client.post(
        native.TOKENS_BATCH, json={"entries": entries}, headers={"Accept": LINES}
    ) as answer:
        assert (answer.status, answer.content_type) == (200, LINES)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "X-Request-Id" in answer.headers
        found = sorted(await lines_of(answer), key=lambda line: int(line["n"]))
    assert [line["n"] for line in found] == [0, 1, 2, 3]
    assert words(found) == ["given", "lease_unknown", "given", "outside_ceiling"]
    counted = Counter(served.world.audit.events())
    assert (counted["mint"], counted["refused"]) == (2, 2)


async def test_a_line_does_not_wait_for_the_slow_ones(served: Served) -> None:
    """An issuer that hangs holds back the lines of those who must wait for it, and no others."""
    ada, ben = await served.lease("ada"), await served.lease("ben")
    assert words(await served.ask(entry(ada))) == ["given"]
    served.world.issuer.swallow()
    async with served.client.post(
        native.TOKENS_BATCH,
        json={"entries": [entry(ben), entry(ada)]},
        headers={"Accept": f"application/json;q=0.5, {LINES}"},
    ) as answer:
        first = json.loads(await answer.content.readline())
        assert (first["n"], words([first])) == (1, ["given"])
        while served.world.issuer.posts["first-ben"] == 0:
            await turns(1)
        served.world.clock.advance(READY_SECONDS)
        (second,) = await lines_of(answer)
    assert (second["n"], words([second])) == (0, ["busy"])
    served.world.issuer.mend()


async def test_a_batch_that_cannot_be_read_is_no_line(served: Served) -> None:
    """It is answered as a whole, whatever the asker takes."""
    headers = {"Accept": LINES}
    async with served.client.post(native.TOKENS_BATCH, data=b"{", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (400, "application/json")
