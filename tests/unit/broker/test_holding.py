"""Tokens at hand belong to one line of logins and one right."""

from __future__ import annotations

import datetime

from credbroker.broker.holding import HeldTokens
from credbroker.domain.attenuation import Right
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
    assert len(held._held) <= 1000


def test_a_logout_takes_the_tokens_of_its_line_and_no_others() -> None:
    """Whatever right they carry."""
    clock = FakeClock()
    held = HeldTokens(clock)
    for line in ("line-1", "line-2"):
        for right in (READ, Right(ScopeSet.parse("storage.read:/x"))):
            held.put(line, right, access_token(clock, line))
    held.forget("line-1")
    assert {line for line, _ in held._held} == {"line-2"}
