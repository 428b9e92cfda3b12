"""The tokens of a program: asked for once, long enough, and kept while nothing better is to be had."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.client.holding import AGAIN_SECONDS, LEAST_SECONDS, Holding, Taken, Wish
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    LeaseEnded,
    LoginNeeded,
    TooSoonExpired,
)
from credbroker.wire.jwt import read_access_token
from tests.fakes.broker import access_token
from tests.fakes.step_clock import StepClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from credbroker.domain.tokens import AccessToken

LIFE, RENEW = 3600.0, 1800.0
WISH = Wish(issuer="cms", minimum_seconds=60)


class Source:
    """Gives a new token each time, or fails as the test says."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock
        self.life, self.renew = LIFE, RENEW
        self.asked: list[Wish] = []
        self.failure: BaseException | None = None
        self.same = False
        self.last: AccessToken | None = None
        self.before: Callable[[], object] = lambda: None

    def __call__(self, wish: Wish) -> Taken:
        self.asked.append(wish)
        self.before()
        if self.failure is not None:
            raise self.failure
        if self.last is None or not self.same:
            now, jti = self.clock.now(), f"jti-{len(self.asked)}"
            self.last = read_access_token(access_token(now, seconds=self.life, jti=jti), now)
        return Taken(self.last, self.life, self.renew)


class Scene:
    """A holding, its source and its time."""

    def __init__(self) -> None:
        self.clock = StepClock()
        self.source = Source(self.clock)
        self.holding = Holding(self.source, self.clock)

    def fresh(self, wish: Wish = WISH, instead_of: AccessToken | None = None) -> AccessToken:
        return self.holding.fresh(wish, None if instead_of is None else instead_of.value)


@pytest.fixture
def scene() -> Scene:
    """Nothing held yet."""
    return Scene()


def test_a_token_is_asked_for_once_until_it_is_due(scene: Scene) -> None:
    """Then the next one is."""
    first = scene.fresh()
    scene.clock.advance(RENEW - 1)
    assert scene.fresh() is first
    scene.clock.advance(1)
    assert scene.fresh().jti == "jti-2"
    assert len(scene.source.asked) == 2


def test_what_is_wanted_otherwise_is_another_token(scene: Scene) -> None:
    """Only for how long it must last may differ."""
    first = scene.fresh()
    assert scene.fresh(Wish(issuer="cms", minimum_seconds=600)) is first
    assert scene.fresh(Wish(issuer="cms", scopes=("storage.read:/a",))) is not first
    assert scene.fresh(Wish(issuer="atlas")) is not first


def test_a_longer_minimum_than_what_is_left_asks_again(scene: Scene) -> None:
    """Although it is not due yet."""
    scene.fresh()
    scene.clock.advance(100)
    long = Wish(issuer="cms", minimum_seconds=LIFE - 50)
    assert scene.fresh(long).jti == "jti-2"
    assert scene.fresh().jti == "jti-2"


def test_a_token_that_comes_too_short_is_said_to_be(scene: Scene) -> None:
    """And is not given; one held that lasts longer still is."""
    scene.source.life = 50
    with pytest.raises(TooSoonExpired):
        scene.fresh()
    assert scene.fresh(Wish(issuer="cms", minimum_seconds=10)).jti == "jti-1"


def test_the_longer_token_stays_when_a_shorter_one_comes(scene: Scene) -> None:
    """As from a replica that has not seen the last refresh yet."""
    first = scene.fresh()
    scene.clock.advance(RENEW)
    scene.source.life = 100
    assert scene.fresh() is first


@pytest.mark.parametrize(
    "failure",
    [BrokerUnreachable("It is away."), LoginNeeded("It was ended."), TooSoonExpired("No.")],
)
def test_a_token_that_will_do_is_kept_and_the_reason_logged(
    scene: Scene, failure: CredbrokerError, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is asked again for a while; once it will not do, the failure is raised."""
    first = scene.fresh()
    scene.clock.advance(RENEW)
    scene.source.failure = failure
    with caplog.at_level(logging.WARNING):
        assert [scene.fresh() for _ in range(3)] == [first] * 3
    assert len(scene.source.asked) == 2
    assert failure.sentence in caplog.text
    assert failure.remedy in caplog.text
    assert first.value.reveal() not in caplog.text
    scene.clock.advance(AGAIN_SECONDS)
    scene.fresh()
    assert len(scene.source.asked) == 3
    scene.clock.advance(RENEW)
    with pytest.raises(type(failure)):
        scene.fresh()


def test_a_refusal_is_raised_at_once(scene: Scene) -> None:
    """However long the token held would last."""
    scene.fresh()
    scene.clock.advance(RENEW)
    scene.source.failure = LeaseEnded("It was ended.")
    with pytest.raises(LeaseEnded):
        scene.fresh()


def test_no_jump_of_the_wall_clock_makes_an_old_token_good(scene: Scene) -> None:
    """Nor a good one old."""
    first = scene.fresh()
    scene.clock.jump(86400)
    assert scene.fresh() is first
    scene.clock.jump(-2 * 86400)
    scene.clock.advance(LIFE)
    assert scene.fresh() is not first


def test_a_refused_token_is_replaced_for_all(scene: Scene) -> None:
    """Also by one that ends earlier; who comes later with the same refusal asks nobody."""
    first = scene.fresh()
    scene.clock.advance(LEAST_SECONDS)
    scene.source.life = 600
    other = scene.fresh(instead_of=first)
    assert other.jti == "jti-2"
    assert scene.fresh(instead_of=first) is other
    assert scene.fresh() is other
    assert len(scene.source.asked) == 2


def test_a_broker_that_knows_no_other_token_is_not_asked_over_and_over(scene: Scene) -> None:
    """A service that refuses each token brings one request in some seconds."""
    scene.source.same = True
    first = scene.fresh()
    assert all(scene.fresh(instead_of=first).value == first.value for _ in range(10))
    assert len(scene.source.asked) == 1
    scene.clock.advance(LEAST_SECONDS)
    assert all(scene.fresh(instead_of=first).value == first.value for _ in range(10))
    assert len(scene.source.asked) == 2


def test_a_refused_token_is_all_there_is_while_the_broker_is_away(scene: Scene) -> None:
    """It may still be good elsewhere."""
    first = scene.fresh()
    scene.clock.advance(LEAST_SECONDS)
    scene.source.failure = BrokerUnreachable("It is away.")
    assert [scene.fresh(instead_of=first) for _ in range(5)] == [first] * 5
    assert scene.fresh() is first
    assert len(scene.source.asked) == 2


def test_a_broker_that_wants_to_be_asked_at_once_is_not(scene: Scene) -> None:
    """A time in the past to come back makes no loop."""
    scene.source.renew = -10
    assert scene.fresh() is scene.fresh()


def test_what_has_ended_is_let_go_of(scene: Scene) -> None:
    """A program that asks for one token per file does not grow for ever."""
    for number in range(50):
        scene.fresh(Wish(scopes=(f"storage.read:/{number}",)))
        scene.clock.advance(LIFE)
    assert len(scene.holding._held) == 1


def test_nothing_is_held_after_forgetting(scene: Scene) -> None:
    """Another person's token is another one."""
    first = scene.fresh()
    scene.holding.forget()
    assert scene.fresh() is not first


def test_many_threads_send_one_request(scene: Scene) -> None:
    """And all get what came of it."""
    everybody = threading.Barrier(16)
    with ThreadPoolExecutor(16) as threads:

        def ask(_: int) -> AccessToken:
            everybody.wait()
            return scene.fresh()

        tokens = list(threads.map(ask, range(16)))
    assert {token.jti for token in tokens} == {"jti-1"}
    assert len(scene.source.asked) == 1


def held_back(scene: Scene) -> threading.Event:
    """Let requests wait for the event that is returned."""
    goes_on = threading.Event()
    scene.source.before = goes_on.wait
    return goes_on


async def test_many_tasks_send_one_request_and_the_loop_turns(scene: Scene) -> None:
    """The answer is let out by the loop itself, so nothing here can have blocked it."""
    goes_on = held_back(scene)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(scene.holding.fresh_async(WISH)) for _ in range(100)]
        group.create_task(asyncio.to_thread(lambda: None)).add_done_callback(
            lambda _: goes_on.set()
        )
    assert {one.result().jti for one in asking} == {"jti-1"}
    assert len(scene.source.asked) == 1


async def test_tasks_share_one_failure(scene: Scene) -> None:
    """Nobody asks again because others failed."""
    goes_on = held_back(scene)
    scene.source.failure = BrokerUnreachable("It is away.")
    asking = asyncio.gather(
        *(scene.holding.fresh_async(WISH) for _ in range(10)), return_exceptions=True
    )
    asyncio.get_running_loop().call_soon(goes_on.set)
    assert {type(one) for one in await asking} == {BrokerUnreachable}
    assert len(scene.source.asked) == 1


async def test_a_cancelled_task_does_not_stop_the_others(scene: Scene) -> None:
    """Not even the one that began."""
    goes_on = held_back(scene)
    loop = asyncio.get_running_loop()
    asking = [loop.create_task(scene.holding.fresh_async(WISH)) for _ in range(3)]
    loop.call_soon(asking[0].cancel)
    loop.call_soon(goes_on.set)
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert [one.jti for one in told[1:] if not isinstance(one, BaseException)] == ["jti-1"] * 2


async def test_with_a_good_token_no_task_waits_for_the_next(scene: Scene) -> None:
    """It is seen to meanwhile."""
    first = scene.fresh()
    scene.clock.advance(RENEW)
    goes_on = held_back(scene)
    assert await scene.holding.fresh_async(WISH) is first
    assert scene.fresh() is first
    goes_on.set()
    assert (await scene.holding.fresh_async(Wish("cms", minimum_seconds=LIFE))).jti != "jti-1"


def test_who_waits_goes_on_when_who_asked_is_stopped(scene: Scene) -> None:
    """^C in one thread is no failure of the others."""
    goes_on, began = threading.Event(), threading.Event()

    def first_one_waits() -> None:
        scene.source.failure = None if began.is_set() else KeyboardInterrupt()
        began.set()
        goes_on.wait()

    scene.source.before = first_one_waits
    with ThreadPoolExecutor(2) as threads:
        stopped = threads.submit(scene.fresh)
        began.wait()
        waiting = threads.submit(scene.fresh)
        goes_on.set()
        assert isinstance(stopped.exception(), KeyboardInterrupt)
        assert waiting.result().jti == "jti-2"


def test_a_fault_in_the_source_reaches_who_asked(scene: Scene) -> None:
    """And leaves nothing under way."""
    scene.source.failure = ValueError("nobody foresaw it")
    with pytest.raises(ValueError, match="nobody foresaw it"):
        scene.fresh()
    scene.source.failure = None
    assert scene.fresh().jti == "jti-2"


@given(
    st.lists(
        st.tuples(
            st.floats(0, 5000),  # time that passes
            st.floats(0, 4000),  # the minimum
            st.floats(1, 4000),  # how long the next token lasts
            st.floats(-100, 4000),  # when it is due
            st.sampled_from([None, BrokerUnreachable("Away."), LoginNeeded("Ended.")]),
        ),
        max_size=30,
    )
)
def test_no_token_ever_ends_before_the_minimum(
    steps: list[tuple[float, float, float, float, CredbrokerError | None]],
) -> None:
    """Whatever passes and fails; each call sends one request at the most."""
    scene = Scene()
    ends: dict[str, float] = {}
    for passes, minimum, life, renew, failure in steps:
        scene.clock.advance(passes)
        scene.source.life, scene.source.renew, scene.source.failure = life, renew, failure
        asked = len(scene.source.asked)
        try:
            token = scene.fresh(Wish(minimum_seconds=minimum))
        except CredbrokerError:
            assert len(scene.source.asked) == asked + 1
            continue
        finally:
            if failure is None and len(scene.source.asked) > asked:
                ends[f"jti-{asked + 1}"] = scene.clock.elapsed() + life
        assert ends[token.jti] - scene.clock.elapsed() >= minimum
        assert len(scene.source.asked) <= asked + 1


@given(st.integers(2, 12), st.booleans())
def test_any_number_of_callers_sends_one_request(count: int, due: bool) -> None:
    """Threads as well as tasks, with nothing held or with a token that is due."""
    scene = Scene()
    if due:
        scene.fresh()
        scene.clock.advance(RENEW)
    before = len(scene.source.asked)
    everybody = threading.Barrier(count)

    def ask(number: int) -> AccessToken:
        everybody.wait()
        return scene.fresh() if number % 2 else asyncio.run(scene.holding.fresh_async(WISH))

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(ask, range(count)))
    assert len(scene.source.asked) == before + 1
