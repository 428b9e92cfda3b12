"""Signing keys are announced, sign one at a time, and stay until nothing of theirs is left."""

from __future__ import annotations

import datetime
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import NotFound
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import (
    SETTLING_SECONDS,
    KeyHalves,
    KeyRules,
    SigningKey,
    SigningKeys,
    by_algorithm,
    joined,
    plan,
    published,
    withdraw,
)
from tests.unit.things import NOON

DAY = 86400.0
RULES = KeyRules(announce_seconds=DAY, use_seconds=30 * DAY, longest_seconds=7 * DAY)


def days(count: float) -> datetime.timedelta:
    """Return so many days."""
    return datetime.timedelta(days=count)


def key(name: str, uses_from: datetime.datetime = NOON, algorithm: str = "ES256") -> SigningKey:
    """Return a key that was made a day before it signs."""
    halves = KeyHalves(name, algorithm, "{}", Secret("signing key", "pem"))
    return SigningKey(halves, uses_from - days(1), uses_from, 7 * DAY)


FIRST, SECOND = key("first"), key("second", NOON + days(30))


def test_the_first_key_signs_at_once() -> None:
    """Nobody could have announced it."""
    found = plan([], NOON, RULES)
    assert (found.make_from, found.signs, found.kept) == (NOON, None, ())


def test_a_key_in_the_middle_of_its_use_needs_nothing() -> None:
    """And signs."""
    found = plan([FIRST], NOON + days(20), RULES)
    assert (found.signs, found.make_from) == (FIRST, None)


def test_a_successor_is_made_so_early_that_it_is_known_when_it_signs() -> None:
    """A day before, and the time until all replicas have read it."""
    early = datetime.timedelta(seconds=DAY + SETTLING_SECONDS)
    due = NOON + days(30) - early
    assert plan([FIRST], due - days(0.1), RULES).make_from is None
    assert plan([FIRST], due, RULES).make_from == NOON + days(30)


def test_a_successor_that_comes_late_is_announced_in_full_and_the_old_key_signs_meanwhile() -> None:
    """As after weeks in which no broker ran."""
    late = NOON + days(50)
    found = plan([FIRST], late, RULES)
    assert found.make_from == late + datetime.timedelta(seconds=DAY + SETTLING_SECONDS)
    assert found.signs == FIRST


def test_an_announced_key_is_published_and_does_not_sign() -> None:
    """Until its moment, at which it takes over."""
    moment = SECOND.uses_from
    before = plan([FIRST, SECOND], moment - days(0.5), RULES)
    assert (before.signs, before.until, before.make_from) == (FIRST, moment, None)
    assert published([FIRST, SECOND], moment - days(0.5)) == (SECOND, FIRST)
    assert plan([FIRST, SECOND], moment, RULES).signs == SECOND


def test_a_retired_key_goes_once_its_last_token_is_over() -> None:
    """Seven days after its successor has begun, and the time that replicas may lag."""
    end = SECOND.uses_from + datetime.timedelta(seconds=7 * DAY + SETTLING_SECONDS)
    last = end - datetime.timedelta(seconds=1)
    assert plan([FIRST, SECOND], last, RULES).kept == (FIRST, SECOND)
    assert plan([FIRST, SECOND], last, RULES).until == end
    assert plan([FIRST, SECOND], end, RULES).kept == (SECOND,)
    assert published([FIRST, SECOND], end) == (SECOND,)


def test_a_longer_life_of_tokens_keeps_keys_longer_and_a_shorter_one_no_shorter() -> None:
    """What was signed under the former settings is still out there."""
    longer, shorter = replace(RULES, longest_seconds=9 * DAY), replace(RULES, longest_seconds=DAY)
    later = SECOND.uses_from + days(8)
    assert [one.token_seconds for one in plan([FIRST, SECOND], later, longer).kept] == [9 * DAY] * 2
    assert plan([FIRST], NOON, shorter).kept == (FIRST,)
    assert plan([FIRST, SECOND], SECOND.uses_from + days(6), shorter).kept == (FIRST, SECOND)


def test_a_withdrawn_key_neither_signs_nor_is_published() -> None:
    """The one before it goes on, and its next successor is made at once; the mark stays for good."""
    withdrawn = replace(SECOND, withdrawn_at=NOON + days(31))
    now = NOON + days(31)
    found = plan([FIRST, withdrawn], now, RULES)
    assert found.signs == FIRST
    assert found.make_from is not None
    assert found.kept == (FIRST, withdrawn)
    assert published([FIRST, withdrawn], now) == (FIRST,)
    assert withdrawn in plan([FIRST, withdrawn], now + days(800), RULES).kept


def test_withdrawing_leaves_the_other_keys_and_takes_the_private_half_away() -> None:
    """A second time changes nothing; a name that no key has is told with those there are."""
    found = withdraw(SigningKeys("https://a/", (FIRST, SECOND)), "first", NOON)
    assert found.keys[1:] == (SECOND,)
    first = found.keys[0]
    assert (first.key_id, first.withdrawn_at, first.halves.private) == ("first", NOON, None)
    assert withdraw(found, "first", NOON + days(1)) == found
    with pytest.raises(NotFound) as refused:
        withdraw(found, "third", NOON)
    assert refused.value.remedy == "Its keys are first, second."


def test_the_announced_key_takes_over_early_from_a_withdrawn_one() -> None:
    """An incident is worth more than the announcement."""
    withdrawn = replace(FIRST, withdrawn_at=NOON + days(29.5))
    assert plan([withdrawn, SECOND], NOON + days(29.5), RULES).signs == SECOND


def test_where_every_key_is_withdrawn_a_new_one_signs_at_once() -> None:
    """As in the beginning."""
    withdrawn = replace(FIRST, withdrawn_at=NOON)
    found = plan([withdrawn], NOON, RULES)
    assert (found.signs, found.make_from) == (None, NOON)


def test_a_record_that_was_set_back_in_time_gets_its_keys_again() -> None:
    """A key that was published once is needed until its end."""
    assert set(joined([FIRST], [FIRST, SECOND])) == {FIRST, SECOND}


def test_a_withdrawal_counts_wherever_it_stands() -> None:
    """In the record or in what a replica knows; so does the longer life of tokens."""
    withdrawn = replace(FIRST, withdrawn_at=NOON, token_seconds=9 * DAY)
    assert joined([FIRST], [withdrawn]) == (withdrawn,)
    assert joined([withdrawn], [FIRST]) == (withdrawn,)


def test_keys_are_told_apart_by_what_they_sign_with() -> None:
    """An algorithm that a later version brings has a place too."""
    rsa, other = key("rsa", algorithm="RS256"), key("other", algorithm="ES384")
    found = by_algorithm([FIRST, rsa, other])
    assert found == {"RS256": [rsa], "ES256": [FIRST], "ES384": [other]}


def test_the_algorithms_do_not_end_each_others_keys() -> None:
    """A key's successor is the next of its own kind."""
    rsa = key("rsa", NOON + days(1), "RS256")
    assert published([FIRST, rsa], NOON + days(300)) == (rsa, FIRST)


rules = st.builds(
    KeyRules,
    st.floats(0, 5 * DAY),
    st.floats(DAY, 60 * DAY),
    st.sampled_from([3600.0, DAY, 7 * DAY, 30 * DAY]),
)
# How long until a broker looks again, and under which settings.
histories = st.lists(st.tuples(st.floats(1, 40 * DAY), rules), min_size=1, max_size=30)


@given(histories)
def test_one_key_signs_that_was_announced_and_its_tokens_can_be_verified(
    history: list[tuple[float, KeyRules]],
) -> None:
    """Whatever the settings become, and however long nobody looked."""
    now, keys, names = NOON, list[SigningKey](), itertools.count()
    tokens: list[tuple[str, datetime.datetime]] = []
    announced: dict[str, float] = {}
    for seconds, some in history:
        found = plan(keys, now, some)
        keys = list(found.kept)
        if found.make_from is not None:
            made = replace(key(str(next(names)), found.make_from), made_at=now)
            keys.append(replace(made, token_seconds=some.longest_seconds))
            announced[made.key_id] = some.announce_seconds if found.signs is not None else 0.0
        for at in (now, now + datetime.timedelta(seconds=seconds / 2)):
            ours = {one.key_id for one in published(keys, at)}
            assert {name for name, end in tokens if end > at} <= ours
            signs = plan(keys, at, some).signs
            assert signs is not None
            assert signs.key_id in ours
            waited = (at - signs.made_at).total_seconds()
            assert waited >= announced[signs.key_id]
            tokens.append((signs.key_id, at + datetime.timedelta(seconds=signs.token_seconds)))
        now += datetime.timedelta(seconds=seconds)


@given(st.floats(0, 400 * DAY))
def test_until_names_the_next_change(seconds: float) -> None:
    """Between now and then nothing else signs, and nothing else is published."""
    keys = [FIRST, SECOND, key("third", NOON + days(60))]
    now = NOON + datetime.timedelta(seconds=seconds)
    found = plan(keys, now, RULES)
    just_before = found.until - datetime.timedelta(seconds=1)
    assert found.until > now
    later = max(now, min(just_before, NOON + days(4000)))
    assert plan(keys, later, RULES).signs == found.signs
    assert published(keys, later) == published(keys, now)


@pytest.mark.parametrize("withdrawn", [0, 1])
def test_a_plan_is_made_of_whatever_order_a_record_has(withdrawn: int) -> None:
    """The keys' own times say who comes after whom."""
    keys = [FIRST, SECOND, key("third", NOON + days(60))]
    keys[withdrawn] = replace(keys[withdrawn], withdrawn_at=NOON + days(61))
    now = NOON + days(61)
    plans = [plan(some, now, RULES) for some in itertools.permutations(keys)]
    assert {one.signs for one in plans} == {keys[2]}
    assert len({frozenset(one.kept) for one in plans}) == 1
