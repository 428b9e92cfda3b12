"""Tokens at hand belong to one line of logins and one right; what is in use is due in time."""

from __future__ import annotations

import datetime
from dataclasses import replace

from credbroker.broker.holding import MOST_RIGHTS, HeldTokens
from credbroker.domain.attenuation import Right
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from tests.fakes.clock import FakeClock

READ = Right(ScopeSet.parse("storage.read:/"))


def access_token(clock: FakeClock, name: str, seconds: float = 60) -> AccessToken:
    """Return a token that lives for so long."""
    now = clock.now()
    ends = now + datetime.timedelta(seconds=seconds)
    value = Secret("access token", name)
    about = ("https://issuer.test/", "sub-ada", READ.scopes, ("https://any.test/",), ())
    return AccessToken(value, *about, "1.0", name, "key-1", now, now, ends, now)


def test_a_token_is_found_by_its_own_line_and_right_only() -> None:
    """Neither another person nor another right gets it."""
    clock = FakeClock()
    held = HeldTokens(clock)
    token = access_token(clock, "one")
    held.put("line-1", READ, token)
    assert held.get("line-1", READ) is token
    assert held.get("line-2", READ) is None
    assert held.get("line-1", Right(READ.scopes, ("https://se.test/",))) is None


def test_expired_tokens_do_not_pile_up() -> None:
    """They go when as many again have come, or a thousand."""
    clock = FakeClock()
    held = HeldTokens(clock)
    for number in range(5000):
        held.put(f"line-{number}", READ, access_token(clock, str(number)))
        clock.advance(30)
    assert held._size == len(held._held) <= 1000


def test_a_logout_takes_the_tokens_of_its_line_and_no_others() -> None:
    """Whatever right they carry."""
    clock = FakeClock()
    held = HeldTokens(clock)
    for line in ("line-1", "line-2"):
        for right in (READ, Right(ScopeSet.parse("storage.read:/x"))):
            held.put(line, right, access_token(clock, line))
    held.forget("line-1")
    assert set(held._held) == {"line-2"}
    assert held._size == 2


# -- what is in use ------------------------------------------------------------------------------

KEY = GrantKey("cms", "ada", "default")


def given(clock: FakeClock, held: HeldTokens, name: str = "one", back: float = 600) -> AccessToken:
    """Put a token of 1200 s at hand and serve it to somebody who comes back later."""
    token = access_token(clock, name, 1200)
    held.put("line-1", READ, token)
    held.served(KEY, "line-1", READ, back)
    return token


def test_a_token_in_use_is_due_shortly_before_its_first_consumer_comes_back() -> None:
    """Once; whoever comes later finds it renewed."""
    clock = FakeClock()
    held = HeldTokens(clock)
    given(clock, held, back=630)
    held.served(KEY, "line-1", READ, 610)
    held.served(KEY, "line-1", READ, 650)
    clock.advance(599)
    assert held.take_due() == []
    clock.advance(1)
    assert [(one.key, one.line, one.right) for one in held.take_due()] == [(KEY, "line-1", READ)]
    clock.advance(1000)
    assert held.take_due() == []


def test_of_a_short_life_a_tenth_is_enough_ahead() -> None:
    """Or it would be renewed all the time."""
    clock = FakeClock()
    held = HeldTokens(clock)
    given(clock, held, back=20)
    clock.advance(17.9)
    assert held.take_due() == []
    clock.advance(0.2)
    assert len(held.take_due()) == 1


def test_what_was_renewed_ahead_and_not_asked_for_is_not_renewed_again() -> None:
    """Its consumer is gone."""
    clock = FakeClock()
    held = HeldTokens(clock)
    given(clock, held)
    clock.advance(590)
    assert len(held.take_due()) == 1
    held.put("line-1", READ, access_token(clock, "two", 1200))
    for _ in range(20):
        clock.advance(100)
        assert held.take_due() == []


def test_what_was_renewed_ahead_and_asked_for_is_renewed_again() -> None:
    """For as long as somebody comes back."""
    clock = FakeClock()
    held = HeldTokens(clock)
    for name in ("one", "two", "three"):
        given(clock, held, name)
        clock.advance(600)
        assert len(held.take_due()) == 1


def test_what_a_consumer_renewed_itself_is_not_due_any_more() -> None:
    """It came earlier than it was told to."""
    clock = FakeClock()
    held = HeldTokens(clock)
    given(clock, held)
    clock.advance(300)
    held.put("line-1", READ, access_token(clock, "two", 1200))
    clock.advance(300)
    assert held.take_due() == []


def test_a_logout_ends_every_use() -> None:
    """Nothing is renewed for whoever left."""
    clock = FakeClock()
    held = HeldTokens(clock)
    given(clock, held)
    held.forget("line-1")
    assert list(held.in_use()) == []
    clock.advance(600)
    assert held.take_due() == []
    held.served(KEY, "line-1", READ, 600)
    assert list(held.in_use()) == []


def test_what_is_in_use_is_told_until_its_consumers_fail_to_come_back() -> None:
    """With the end of the token that lies ready for them."""
    clock = FakeClock()
    held = HeldTokens(clock)
    given(clock, held)
    clock.advance(590)
    renewed = access_token(clock, "two", 1200)
    held.put("line-1", READ, renewed)
    assert [one.expires_at for one in held.in_use()] == [renewed.expires_at]
    clock.advance(130)
    assert len(list(held.in_use())) == 1
    clock.advance(1)
    assert list(held.in_use()) == []


def test_an_expired_token_is_not_in_use_and_its_uses_do_not_pile_up() -> None:
    """Whoever relied on it has none any more."""
    clock = FakeClock()
    held = HeldTokens(clock)
    for number in range(3000):
        held.put(f"line-{number}", READ, access_token(clock, str(number)))
        held.served(KEY, f"line-{number}", READ, 3000)
        clock.advance(60)
    assert list(held.in_use()) == []
    assert len(held._uses) <= 1000


def test_a_clock_that_is_set_makes_no_renewal_early_or_late() -> None:
    """Only seconds since boot count."""
    clock = FakeClock()
    held = HeldTokens(clock)
    given(clock, held)
    clock._now += datetime.timedelta(days=2)
    assert held.take_due() == []
    clock._now -= datetime.timedelta(days=4)
    clock.advance(590)
    assert len(held.take_due()) == 1


# -- how many ------------------------------------------------------------------------------------


def right(number: int) -> Right:
    """Return one of many rights."""
    return Right(ScopeSet.parse(f"storage.read:/{number}"))


def filled(clock: FakeClock, held: HeldTokens, line: str = "line-1") -> None:
    """Put as many tokens of a line at hand as it may have."""
    for number in range(MOST_RIGHTS):
        held.put(line, right(number), access_token(clock, str(number), 1200))


def gone(held: HeldTokens, up_to: int = MOST_RIGHTS, line: str = "line-1") -> list[int]:
    """Return the numbers whose token is not at hand."""
    return [number for number in range(up_to) if right(number) not in held._held[line]]


def test_the_token_that_was_least_recently_asked_for_makes_room() -> None:
    """A token renewed makes none necessary, and another line has room of its own."""
    clock = FakeClock()
    held = HeldTokens(clock)
    for line in ("line-1", "line-2"):
        filled(clock, held, line)
    assert held.get("line-1", right(0)) is not None
    held.put("line-1", right(1), access_token(clock, "renewed", 1200))
    assert gone(held) == []
    held.put("line-1", READ, access_token(clock, "new", 1200))
    assert held.get("line-1", READ) is not None
    assert (gone(held), gone(held, line="line-2")) == ([2], [])
    assert held._size == 2 * MOST_RIGHTS


def test_a_token_that_somebody_comes_back_for_goes_last() -> None:
    """Not for any number of rights that nobody was told to come back for."""
    clock = FakeClock()
    held = HeldTokens(clock)
    filled(clock, held)
    for number in (0, 1):
        held.served(KEY, "line-1", right(number), 600)
    for number in range(MOST_RIGHTS, 3 * MOST_RIGHTS):
        held.put("line-1", right(number), access_token(clock, str(number), 1200))
    assert gone(held) == list(range(2, MOST_RIGHTS))
    clock.advance(600 * 1.1 + 61)
    held.put("line-1", READ, access_token(clock, "new", 1200))
    assert 0 in gone(held)


def test_where_everybody_comes_back_the_first_makes_room_and_is_not_due() -> None:
    """The line of a person who asks for ever more rights stays within its bound."""
    clock = FakeClock()
    held = HeldTokens(clock)
    for number in range(MOST_RIGHTS + 5):
        held.put("line-1", right(number), access_token(clock, str(number), 1200))
        held.served(KEY, "line-1", right(number), 600)
    assert gone(held, MOST_RIGHTS + 5) == [0, 1, 2, 3, 4]
    assert len(list(held.in_use())) == MOST_RIGHTS
    clock.advance(590)
    assert len(held.take_due()) == len(held._uses) == MOST_RIGHTS


# -- what goes over to another -------------------------------------------------------------------


def test_who_takes_over_holds_the_tokens_of_the_issuers_named() -> None:
    """And renews them ahead for those who live on them, as often as who held them before."""
    clock = FakeClock()
    before, after = HeldTokens(clock), HeldTokens(clock)
    ours, other = access_token(clock, "one"), access_token(clock, "two")
    before.put("line-1", READ, ours)
    before.put("line-2", READ, replace(other, issuer_url="https://changed.test/"))
    for line in ("line-1", "line-2"):
        before.served(GrantKey("cms", line, "default"), line, READ, 30)
    after.take_from(before, {"https://issuer.test/"})
    assert (after.get("line-1", READ), after.get("line-2", READ)) == (ours, None)
    assert [use.line for use in after.in_use()] == ["line-1"]
    clock.advance(30)
    assert [use.line for use in after.take_due()] == ["line-1"]
    assert after.take_due() == []


def test_of_more_than_it_has_room_for_nothing_is_expected_that_is_not_held() -> None:
    """What ran out meanwhile stays behind with whoever was to come back for it."""
    clock = FakeClock()
    before, after = HeldTokens(clock), HeldTokens(clock)
    for number in range(1500):
        line = f"line-{number}"
        before.put(line, READ, access_token(clock, line, 60 if number < 500 else 600))
        before.served(GrantKey("cms", line, "default"), line, READ, 30)
    clock.advance(61)
    after.take_from(before, {"https://issuer.test/"})
    assert after._size == 1000
    assert len(list(after.in_use())) == 1000
