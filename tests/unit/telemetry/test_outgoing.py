"""What goes out is timed by whom it goes to, and tells an issuer for which request it is."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from structlog.contextvars import bound_contextvars

from credbroker.ports import HttpAnswer, HttpDoor, NoAnswerError
from credbroker.telemetry.outgoing import Outgoing
from tests.fakes.clock import FakeClock
from tests.fakes.door import FakeDoor, Reply, Sent, answer


class Way:
    """A watched way out on which each answer takes three seconds."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.registry = CollectorRegistry()
        self.inner = FakeDoor(self._reply)
        self.outgoing = Outgoing(clock, self.registry)
        self.reply: Reply = answer(200)

    def _reply(self, _sent: Sent) -> Reply:
        self.clock.advance(3.0)
        return self.reply

    def took(self, server: str, **labels: str) -> tuple[float, float]:
        """Return how many requests were counted, and their seconds."""
        name = f"credbroker_{server}_request_seconds"
        count = self.registry.get_sample_value(f"{name}_count", labels)
        seconds = self.registry.get_sample_value(f"{name}_sum", labels)
        return count or 0.0, seconds or 0.0


@pytest.fixture
def way(clock: FakeClock) -> Way:
    """Return a way out."""
    return Way(clock)


async def ask_in_every_way(door: HttpDoor) -> list[HttpAnswer]:
    """Send three requests."""
    return [
        await door.get("https://there.test/a", seconds=9.0, most_bytes=7),
        await door.post("https://there.test/b", b"body", headers={"A": "1"}, seconds=9.0),
        await door.pass_on("DELETE", "https://there.test/c", b"", headers={}, seconds=9.0),
    ]


async def test_requests_go_out_as_they_are_and_their_answers_come_back(way: Way) -> None:
    """Each once, with all that was given."""
    answers = await ask_in_every_way(way.outgoing.to_vault(way.inner))
    assert [one.status for one in answers] == [200, 200, 200]
    assert way.inner.sent == [
        Sent("GET", "https://there.test/a", {}, None, 7),
        Sent("POST", "https://there.test/b", {"A": "1"}, b"body"),
        Sent("DELETE", "https://there.test/c", {}, None),
    ]
    assert way.took("vault", outcome="answered") == (3, 9.0)


async def test_silence_and_a_servers_own_errors_count_as_failed(way: Way) -> None:
    """What it refuses is an answer."""
    door = way.outgoing.to_issuer("cms", way.inner)
    for reply in (answer(400), answer(503), NoAnswerError("gone")):
        way.reply = reply
        try:
            await door.get("https://there.test/", seconds=9.0)
        except NoAnswerError:
            assert isinstance(reply, NoAnswerError)
    assert way.took("issuer", issuer="cms", outcome="answered") == (1, 3.0)
    assert way.took("issuer", issuer="cms", outcome="failed") == (2, 6.0)


async def test_what_is_done_before_the_first_byte_is_not_the_issuers_time(way: Way) -> None:
    """As the claim in OpenBao/Vault is."""

    async def claim() -> None:
        way.clock.advance(60.0)

    door = way.outgoing.to_issuer("cms", way.inner)
    await door.post("https://there.test/", b"", headers={}, seconds=9.0, before_first_byte=claim)
    assert way.took("issuer", issuer="cms", outcome="answered") == (1, 3.0)


async def test_an_issuer_is_told_the_request_and_nobody_else_is(way: Way) -> None:
    """In each way of asking; where none is in hand nothing is told."""
    with bound_contextvars(request_id="req-12345"):
        await ask_in_every_way(way.outgoing.to_issuer("cms", way.inner))
        await ask_in_every_way(way.outgoing.to_vault(way.inner))
    await ask_in_every_way(way.outgoing.to_issuer("cms", way.inner))
    told = [one.headers.get("X-Request-Id") for one in way.inner.sent]
    assert told == ["req-12345"] * 3 + [None] * 6
