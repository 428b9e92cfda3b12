"""What `ports.Clock` and `ports.Entropy` promise, on the machine's own and on the fakes."""

from __future__ import annotations

import asyncio
import datetime
import re

import pytest

from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.ports import Clock, Entropy
from tests.fakes.clock import FakeClock, turns
from tests.fakes.entropy import FakeEntropy


@pytest.fixture(params=[SystemClock, FakeClock])
def any_clock(request: pytest.FixtureRequest) -> Clock:
    """A clock."""
    made: Clock = request.param()
    return made


@pytest.fixture(params=[SystemEntropy, FakeEntropy])
def entropy(request: pytest.FixtureRequest) -> Entropy:
    """A source of chance."""
    made: Entropy = request.param()
    return made


def test_now_is_aware_and_in_utc(any_clock: Clock) -> None:
    """So that two of them can always be compared."""
    assert any_clock.now().utcoffset() == datetime.timedelta(0)


def test_elapsed_never_goes_back(any_clock: Clock) -> None:
    """Whatever the wall clock does."""
    read = [any_clock.elapsed() for _ in range(100)]
    assert read == sorted(read)


async def test_a_sleeper_lets_others_run_and_sleeps_long_enough(any_clock: Clock) -> None:
    """By the clock's own measure; other tasks go on meanwhile."""
    begun = any_clock.elapsed()
    sleeper = asyncio.ensure_future(any_clock.sleep(0.01))
    await turns(2)
    assert not sleeper.done()
    if isinstance(any_clock, FakeClock):
        any_clock.advance(0.01)
    await sleeper
    assert any_clock.elapsed() - begun >= 0.0099


async def test_a_sleep_can_be_cancelled(any_clock: Clock) -> None:
    """And leaves nothing behind."""
    sleeper = asyncio.ensure_future(any_clock.sleep(3600))
    await turns(2)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper


async def test_a_sleep_of_nothing_is_short() -> None:
    """Also one of less than nothing."""
    for seconds in (0, -5):
        await asyncio.wait_for(SystemClock().sleep(seconds), 1)


def test_two_replicas_may_disagree_about_the_time() -> None:
    """A test sets one of them off; what counts seconds is not touched."""
    ahead = SystemClock(offset_seconds=300)
    assert datetime.timedelta(seconds=299) < ahead.now() - SystemClock().now()
    assert abs(ahead.elapsed() - SystemClock().elapsed()) < 60


@pytest.mark.parametrize("size", [1, 16, 32])
def test_a_token_is_as_many_bytes_in_base64url(entropy: Entropy, size: int) -> None:
    """Without padding; a lease token's form depends on it."""
    made = entropy.token(size)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", made)
    assert len(made) == -(-size * 4 // 3)


def test_no_token_comes_twice(entropy: Entropy) -> None:
    """Ids and write ids are told apart by it."""
    assert len({entropy.token(16) for _ in range(1000)}) == 1000


def test_a_fraction_is_below_one(entropy: Entropy) -> None:
    """And not below nothing."""
    assert all(0 <= entropy.fraction() < 1 for _ in range(1000))
