"""An issuer in trouble is probed, then tried with the refresh that costs least."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from structlog.typing import EventDict

from credbroker.broker.custody.recovering import MOST_CANDIDATES, Recovering
from credbroker.broker.custody.refreshing import Wish
from credbroker.domain.attenuation import Right
from credbroker.domain.breaker import Phase
from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    IssuerFailed,
    IssuerUnreachable,
    LoginNeeded,
    StoreUnavailable,
)
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import NotActedOn, Outcome, Renewed
from credbroker.domain.rotation import UnclearRule
from credbroker.domain.scopes import ScopeSet
from tests.fakes.issuer import FakeIssuer
from tests.unit.broker.gate_world import ANSWERED, ISSUER, SILENT, GateWorld, key

READ = Right(ScopeSet.parse("storage.read:/"))
REFUSED = ClientRejected("The issuer does not accept the broker's client.")


def wish(number: int) -> Wish:
    """Return the wish to refresh somebody's grant."""
    return Wish(key(number), "line-1", READ, kept=True)


class Scene:
    """An issuer, its gate, and grants that can be tried."""

    def __init__(self, rule: UnclearRule = UnclearRule.ASK) -> None:
        """Begin with an issuer that answers and three grants to try."""
        self.world = GateWorld(rule=rule, names=(ISSUER, "atlas"))
        self.issuer = FakeIssuer(self.world.clock)
        self.atlas = FakeIssuer(self.world.clock)
        self.wishes = [wish(1), wish(2), wish(3)]
        self.outcome: Outcome = ANSWERED
        self.unfit: dict[GrantKey, CredbrokerError | Exception] = {}
        self.asked: list[GrantKey] = []
        issuers = {ISSUER: self.issuer, "atlas": self.atlas}
        self.recovering = Recovering(
            self.world.gates, issuers, self.refresh, self.candidates, self.world.means
        )

    def phase(self) -> Phase:
        """Return the breaker's phase."""
        return self.world.gate.standing().phase

    def candidates(self, issuer: str) -> Iterator[Wish]:
        """Offer what the test set."""
        yield from self.wishes

    async def refresh(self, wish: Wish, seconds: float) -> None:
        """Refresh as the broker does, as far as the gate sees it."""
        self.asked.append(wish.key)
        if wish.key in self.unfit:
            raise self.unfit[wish.key]
        async with self.world.gate.entered(wish.key):
            self.world.gate.note(self.outcome)
        if not isinstance(self.outcome, Renewed):
            raise self.outcome.error

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let it run beside the test."""
        task = self.world.start(self.recovering.run())
        await self.world.settle()
        yield
        assert not task.done()
        task.cancel()
        await self.world.settle()


async def test_while_all_is_well_nothing_is_done_and_nobody_wakes() -> None:
    """It costs nothing to have it."""
    scene = Scene()
    async with scene.running():
        assert scene.world.clock._sleepers == []
        await scene.world.clock.pass_time(86400)
        assert scene.issuer.probes == 0


async def test_an_issuer_that_answers_the_probe_is_tried_at_once_with_the_first_candidate() -> None:
    """One refresh, and the gate is open again."""
    scene = Scene()
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(1)
        assert scene.asked == [key(1)]
        assert scene.phase() is Phase.CLOSED
        await scene.world.clock.pass_time(86400)
        assert scene.issuer.probes == 1


async def test_while_the_probe_gets_no_answer_nobodys_grant_is_tried() -> None:
    """However long it lasts; probed it is every minute at the latest."""
    scene = Scene()
    scene.issuer.down = IssuerUnreachable("The issuer does not answer.")
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(3600)
        assert scene.asked == []
        assert 60 <= scene.issuer.probes <= 70
        scene.issuer.down = None
        await scene.world.clock.pass_time(60)
        assert scene.phase() is Phase.CLOSED


async def test_where_a_trial_may_cost_a_login_failed_ones_are_far_apart() -> None:
    """Three in three hours, though the probe is answered all the time."""
    scene = Scene()
    scene.outcome = SILENT
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(3 * 3600)
        assert scene.asked == [key(1)] * 3


async def test_where_it_costs_nothing_the_next_caller_is_the_trial() -> None:
    """If there is no other; and it is offered again soon after it failed."""
    scene = Scene(UnclearRule.RETRY_SAFE)
    scene.wishes = []
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(1)
        assert scene.phase() is Phase.OFFERED
        await scene.world.pass_through(7, SILENT)
        assert scene.phase() is Phase.OPEN
        await scene.world.clock.pass_time(60)
        await scene.world.pass_through(8)
        assert scene.phase() is Phase.CLOSED
        assert scene.asked == []


@pytest.mark.parametrize("rule", [UnclearRule.ASK, UnclearRule.RETRY_SAFE])
async def test_who_had_a_part_in_the_trouble_is_not_tried(rule: UnclearRule) -> None:
    """One grant that the issuer never answers must not lose every trial for all."""
    scene = Scene(rule)
    async with scene.running():
        for number in (1, 2, 9):
            scene.world.gate.note(SILENT, key(number))
        await scene.world.clock.pass_time(1)
        assert scene.asked == [key(3)]
        assert scene.phase() is Phase.CLOSED


async def test_an_issuer_that_answers_refreshes_but_no_probe_is_tried_within_minutes(
    logged: list[EventDict],
) -> None:
    """After ten unsound probes; why they are is written down once."""
    scene = Scene()
    scene.issuer.down = IssuerFailed("The issuer answers a probe with status 500 and no sense.")
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(300)
        assert scene.asked == []
        await scene.world.clock.pass_time(360)
        assert scene.phase() is Phase.CLOSED
    assert [line["event"] for line in logged].count("probe_failed") == 1


async def test_without_a_sound_probe_trials_are_rare_even_where_they_cost_nothing() -> None:
    """Three in three hours."""
    scene = Scene(UnclearRule.RETRY_SAFE)
    scene.issuer.down = IssuerFailed("The issuer answers a probe with status 500 and no sense.")
    scene.outcome = SILENT
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(3 * 3600)
        assert len(scene.asked) == 3


async def test_a_paused_client_is_tried_though_no_probe_is_sound() -> None:
    """One refresh at a time; if that is refused too, the pause is on again."""
    scene = Scene()
    scene.issuer.down = IssuerFailed("The issuer answers a probe with status 500 and no sense.")
    scene.outcome = NotActedOn(REFUSED)
    async with scene.running():
        for number in (8, 9):
            scene.world.gate.note(NotActedOn(REFUSED), key(number))
        assert scene.world.gate.client_paused
        await scene.world.clock.pass_time(660)
        assert len(scene.asked) >= 1
        assert scene.world.gate.client_paused
        scene.outcome = ANSWERED
        await scene.world.clock.pass_time(3600)
        assert not scene.world.gate.standing().client_paused
        assert scene.phase() is Phase.CLOSED


async def test_one_refusal_in_the_clients_name_is_probed_at_once() -> None:
    """Before it stands in anybody's way."""
    scene = Scene()
    async with scene.running():
        scene.world.gate.note(NotActedOn(REFUSED), key(1))
        await scene.world.clock.pass_time(0.1)
        assert scene.issuer.probes == 1
        assert not scene.world.gate.in_trouble


async def test_an_issuer_that_asked_to_be_left_alone_is_probed_after_a_minute() -> None:
    """Not sooner, as it asked for; a sound probe opens the gate."""
    scene = Scene()
    async with scene.running():
        busy = IssuerUnreachable("The issuer is busy or away: it answered with status 503.")
        scene.world.gate.note(NotActedOn(busy, 3600.0))
        await scene.world.clock.pass_time(59)
        assert scene.issuer.probes == 0
        await scene.world.clock.pass_time(2)
        assert scene.issuer.probes == 1
        assert not scene.world.gate.in_trouble


async def test_without_candidates_the_next_caller_is_the_trial() -> None:
    """Better than to be closed for ever."""
    scene = Scene()
    scene.wishes = []
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(1)
        await scene.world.pass_through(9)
        assert scene.phase() is Phase.CLOSED


async def test_an_issuer_that_is_back_is_not_called_away_where_nobody_needs_a_refresh() -> None:
    """But is again if the next probe fails, or if nothing but a trial may tell."""
    scene = Scene()
    scene.wishes = []
    gate = scene.world.gate
    scene.issuer.down = IssuerUnreachable("The issuer does not answer.")
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(3600)
        assert (gate.standing().away, gate.standing().since is None) == (True, False)
        scene.issuer.down = None
        await scene.world.clock.pass_time(60)
        assert scene.phase() is Phase.OFFERED
        back = gate.standing()
        assert (back.away, back.since, back.open_until) == (False, None, None)
        scene.issuer.down = IssuerFailed("The issuer fails.")
        await scene.world.clock.pass_time(3600)
        assert gate.standing().away


async def test_a_candidate_that_cannot_be_refreshed_gives_way_to_the_next(
    logged: list[EventDict],
) -> None:
    """It may be lost, or its record unreadable; what breaks is written down."""
    scene = Scene()
    scene.unfit = {
        key(1): LoginNeeded("The issuer no longer accepts this login."),
        key(2): RuntimeError("a bug"),
    }
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(1)
        assert scene.asked == [key(1), key(2), key(3)]
        assert scene.phase() is Phase.CLOSED
    assert "trial_broke" in [line["event"] for line in logged]


async def test_only_some_candidates_are_looked_at() -> None:
    """With Vault away none can be refreshed, and there may be thousands."""
    scene = Scene()
    scene.wishes = [wish(number) for number in range(1000)]
    scene.unfit = {one.key: StoreUnavailable("Sealed.") for one in scene.wishes}
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(1)
        assert len(scene.asked) == MOST_CANDIDATES
        assert scene.phase() is Phase.OFFERED


async def test_a_client_that_is_not_accepted_is_probed_once_a_minute_until_it_is() -> None:
    """It opens by itself once the secret is right; no grant was ever tried."""
    scene = Scene()
    scene.issuer.standing = NotActedOn(REFUSED)
    async with scene.running():
        for _ in range(2):
            scene.world.gate.note(NotActedOn(REFUSED))
        await scene.world.clock.pass_time(3600)
        assert scene.issuer.probes == 60
        assert scene.world.gate.client_paused
        scene.issuer.standing = None
        await scene.world.clock.pass_time(60)
        assert not scene.world.gate.in_trouble
        assert scene.asked == []


async def test_a_probe_that_finds_the_client_rejected_keeps_the_trial_back() -> None:
    """The issuer answers again, but not to us."""
    scene = Scene()
    scene.issuer.standing = NotActedOn(REFUSED)
    async with scene.running():
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(600)
        assert scene.world.gate.client_paused
        assert scene.asked == []
        scene.issuer.standing = None
        await scene.world.clock.pass_time(61)
        assert scene.phase() is Phase.CLOSED


async def test_one_issuer_whose_probes_hang_delays_no_other() -> None:
    """Each is minded by itself."""
    scene = Scene()
    scene.atlas.swallow()
    async with scene.running():
        for _ in range(3):
            scene.world.gates.of("atlas").note(SILENT)
        await scene.world.clock.pass_time(5)
        await scene.world.open_breaker()
        await scene.world.clock.pass_time(1)
        assert scene.phase() is Phase.CLOSED
        assert scene.world.gates.of("atlas").in_trouble


async def test_a_probe_that_breaks_is_a_failed_one(
    monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    """A bug in it must not end all recovering."""
    scene = Scene()

    async def broken() -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(scene.issuer, "probe", broken)
        async with scene.running():
            await scene.world.open_breaker()
            await scene.world.clock.pass_time(10)
            assert scene.phase() is Phase.OPEN
            patch.undo()
            await scene.world.clock.pass_time(20)
            assert scene.phase() is Phase.CLOSED
    assert "probe_broke" in [line["event"] for line in logged]
