"""An earlier HTVault is asked for what it gave out; its refusals are believed when they last."""

from __future__ import annotations

import asyncio
import datetime

import pytest

from credbroker.broker import legacy
from credbroker.broker.leasing import Origin
from credbroker.broker.legacy import (
    ANSWER_SECONDS,
    FORGET_SECONDS,
    SURE_SECONDS,
    Legacy,
    LegacyServer,
)
from credbroker.domain.errors import (
    AuditUnavailable,
    LeaseEnded,
    LeaseUnknown,
    LegacyUnavailable,
)
from credbroker.domain.names import GrantKey
from credbroker.domain.secret import Secret
from credbroker.ports import HttpAnswer, PassedOn
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.legacy import FakeLegacyVault

EGI, CMS = GrantKey("egi", "ada", "default"), GrantKey("cms", "ada", "default")
KNOWN, OTHER = Secret("vault token", "s.known"), Secret("vault token", "s.other")
ORIGIN = Origin("192.0.2.7", "request-1")
LAST_DAY = datetime.date(2026, 6, 30)


class Place:
    """Two issuers that had an HTVault each, and one that never had any."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.egi = FakeLegacyVault("https://egi.test:8200", KNOWN, clock=clock)
        self.cms = FakeLegacyVault("https://cms.test:8200", OTHER, clock=clock)
        self.audit = FakeAudit()
        servers = {
            "egi": LegacyServer(self.egi, LAST_DAY),
            "cms": LegacyServer(self.cms, LAST_DAY),
        }
        self.legacy = Legacy(servers, self.audit, clock)

    async def ask(
        self, about: GrantKey | None = EGI, token: Secret = KNOWN, query: str = ""
    ) -> HttpAnswer:
        """Have a read passed on, or a look at the token if it is about no grant."""
        path = "/v1/auth/token/lookup-self" if about is None else f"/v1/{about.issuer}"
        asked = PassedOn("GET", path + query, token)
        return await self.legacy.pass_on(asked, ORIGIN, about=about)


@pytest.fixture
def place(clock: FakeClock) -> Place:
    """The two, on the first of June."""
    return Place(clock)


async def test_the_issuers_own_htvault_is_asked(place: Place) -> None:
    """That one alone, and its answer comes back as it is, on the audit trail without the token."""
    assert await place.ask() is place.egi.given
    assert (len(place.egi.asked), place.egi.seconds, place.cms.asked) == (1, [ANSWER_SECONDS], [])
    assert place.audit.lines == [
        {
            "event": "passed_on", "address": "192.0.2.7", "request_id": "request-1",
            "method": "GET", "issuer": "egi", "credkey": "ada", "role": "default",
        }
    ]  # fmt: skip


async def test_an_issuer_that_had_none_is_not_asked_for(place: Place) -> None:
    """Nobody learns of the token."""
    with pytest.raises(LeaseUnknown):
        await place.ask(GrantKey("new", "ada", "default"))
    assert place.egi.asked + place.cms.asked == []


async def test_nothing_is_passed_on_after_the_last_day(place: Place, clock: FakeClock) -> None:
    """By UTC days: on the last one all of it, from midnight on nothing."""
    until = datetime.datetime(2026, 6, 30, 23, 59, tzinfo=datetime.UTC)
    clock.advance((until - clock.now()).total_seconds())
    assert (await place.ask()).status == 200
    clock.advance(60)
    for about in (EGI, None):
        with pytest.raises(LeaseUnknown):
            await place.ask(about)


async def test_a_look_at_the_token_goes_to_each_until_one_knows_it(place: Place) -> None:
    """In turn, each within its share of the time; servers after that one are not asked."""
    assert (await place.ask(None, OTHER)).status == 200
    assert (len(place.egi.asked), len(place.cms.asked)) == (1, 1)
    assert place.egi.seconds == [ANSWER_SECONDS / 2]
    assert (await place.ask(None, KNOWN)).status == 200
    assert len(place.cms.asked) == 1
    assert "credkey" not in place.audit.last("passed_on")


async def test_an_htvault_of_two_issuers_is_asked_once(clock: FakeClock) -> None:
    """Told by its address."""
    vault = FakeLegacyVault("https://old.test:8200", KNOWN)
    servers = {name: LegacyServer(vault, LAST_DAY) for name in ("a", "b")}
    passing = Legacy(servers, FakeAudit(), clock)
    await passing.pass_on(PassedOn("GET", "/v1/x", KNOWN), ORIGIN, about=None)
    assert len(vault.asked) == 1


async def test_one_that_is_down_does_not_hide_the_one_that_knows(
    place: Place, clock: FakeClock
) -> None:
    """Though it takes its whole share; all together stay within the time."""
    place.egi.slow_seconds = 60.0
    asking = asyncio.ensure_future(place.ask(None, OTHER))
    await clock.pass_time(ANSWER_SECONDS / 2)
    assert (await asking).status == 200
    assert sum([*place.egi.seconds, *place.cms.seconds]) == pytest.approx(ANSWER_SECONDS)


async def test_a_refusal_says_nothing_while_another_may_know_the_token(place: Place) -> None:
    """The one that is down might be the one that gave it out."""
    place.cms.is_down = True
    for _ in range(3):
        with pytest.raises(LegacyUnavailable):
            await place.ask(None, OTHER)
        place.clock.advance(SURE_SECONDS)


async def test_a_refusal_counts_only_where_all_refuse(place: Place) -> None:
    """One that is at its limit has said nothing about the token yet."""
    place.egi.refusal = HttpAnswer(429, {}, b'{"errors":["rate limit quota exceeded"]}')
    for _ in range(3):
        assert (await place.ask(None, Secret("vault token", "s.dead"))).status == 429
        place.clock.advance(SURE_SECONDS)


@pytest.mark.parametrize("about", [EGI, None])
async def test_a_refusal_is_believed_when_it_comes_again(
    place: Place, about: GrantKey | None
) -> None:
    """Half a minute after the first; until then it is no refusal. The query does not matter."""
    for query in ("?a=1", "?a=2", "?a=3"):
        with pytest.raises(LegacyUnavailable, match="not certain"):
            await place.ask(about, Secret("vault token", "s.dead"), query)
        place.clock.advance(SURE_SECONDS / 3 - 0.001)
    place.clock.advance(0.003)
    with pytest.raises(LeaseEnded):
        await place.ask(about, Secret("vault token", "s.dead"))
    assert place.audit.lines == []


async def test_a_refusal_elsewhere_or_of_another_makes_none_certain(place: Place) -> None:
    """Each token and path by itself."""
    dead, dying = Secret("vault token", "s.dead"), Secret("vault token", "s.dying")
    for token, about in ((dead, EGI), (dead, CMS), (dying, EGI)):
        with pytest.raises(LegacyUnavailable):
            await place.ask(about, token)
        place.clock.advance(SURE_SECONDS)


async def test_an_answer_in_between_takes_a_refusal_back(place: Place) -> None:
    """A server that was starting is forgiven."""
    place.egi.known = []
    with pytest.raises(LegacyUnavailable):
        await place.ask()
    place.egi.known = [KNOWN]
    await place.ask()
    place.egi.known = []
    place.clock.advance(SURE_SECONDS)
    with pytest.raises(LegacyUnavailable):
        await place.ask()


async def test_a_refusal_of_long_ago_is_forgotten(place: Place) -> None:
    """A bad moment today does not add up with one of yesterday."""
    dead = Secret("vault token", "s.dead")
    for _ in range(3):
        with pytest.raises(LegacyUnavailable):
            await place.ask(token=dead)
        place.clock.advance(FORGET_SECONDS + 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors":["refresh failed: Permission denied"]}',
        rb'{"errors":["permission\u0020denied"]}',
        b'{"errors":["no permission","denied"]}',
        '{"errors":["permission \u200bdenied"]}'.encode(),
    ],
)
async def test_words_that_make_a_credmon_delete_are_a_refusal(place: Place, body: bytes) -> None:
    """Whatever the status: HTVault passes on what an issuer says. It reads them as a credmon does."""
    place.egi.refusal = HttpAnswer(400, {}, body)
    with pytest.raises(LegacyUnavailable):
        await place.ask(token=OTHER)
    place.clock.advance(SURE_SECONDS)
    with pytest.raises(LeaseEnded):
        await place.ask(token=OTHER)


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors":[]}', b'{"errors":["refresh failed"]}', b'["errors"]', b'{"errors":3}',
        b"", b"<p>permission denied</p>", b"[" * 100_000,
    ],
)  # fmt: skip
async def test_other_failures_are_its_answer(place: Place, body: bytes) -> None:
    """An entry that is absent, a token too short, and what no credmon could read."""
    place.egi.given = HttpAnswer(404, {}, body)
    assert (await place.ask()).body == body


async def test_refusals_take_no_more_than_so_much_room(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes, and has to be heard anew."""
    monkeypatch.setattr(legacy, "MOST_REFUSALS", 5)
    for number in range(6):
        with pytest.raises(LegacyUnavailable):
            await place.ask(token=Secret("vault token", f"s.{number}"))
    place.clock.advance(SURE_SECONDS)
    with pytest.raises(LegacyUnavailable):
        await place.ask(token=Secret("vault token", "s.0"))
    with pytest.raises(LeaseEnded):
        await place.ask(token=Secret("vault token", "s.5"))


async def test_what_cannot_be_written_down_is_not_handed_out(place: Place) -> None:
    """As with a token of ours."""
    place.audit.refused = {"passed_on"}
    with pytest.raises(AuditUnavailable):
        await place.ask()
