"""Names, codes and lines of logins that a person confirms in a browser."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain import confirming
from credbroker.domain.errors import LoginDenied, Malformed
from credbroker.domain.grants import GrantState
from credbroker.domain.leases import LeaseToken, tag_of
from credbroker.domain.secret import Secret
from tests.unit.things import NOON, grant, seconds


@given(st.integers(0, 10**6))
def test_a_login_s_name_says_how_old_it_is(age: int) -> None:
    """And is fit to be a lease's."""
    name = confirming.new_id("r" * 14, NOON)
    assert confirming.age_by_name(name, NOON + seconds(age)) == age
    assert LeaseToken.parse(f"cb_{name}.{'s' * 43}").id == name


def test_the_lease_of_a_login_is_the_same_each_time_and_found_by_its_line() -> None:
    """So that no two polls can both store one."""
    name = confirming.new_id("r" * 14, NOON)
    asked = confirming.ConfirmedLogin(name, "egi", "default", NOON)
    login = confirming.answered(asked, grant(line="line-1"))
    assert confirming.lease_id(login) == tag_of("line-1") + "r" * 14


@given(st.text(max_size=30))
def test_what_is_no_login_s_name_is_refused(name: str) -> None:
    """It comes from a browser's address line."""
    if len(name.encode()) != 22:
        with pytest.raises(Malformed):
            confirming.check_id(name)
        assert confirming.age_by_name(name, NOON) == float("inf")


@given(st.floats(0, 1, exclude_max=True))
def test_a_code_has_eight_consonants(fraction: float) -> None:
    """It spells no word, and is as easily typed as read."""
    code = confirming.user_code(fraction)
    assert len(code) == 9
    assert not set(code) & set("AEIOUY0123456789")


def test_codes_differ_with_chance() -> None:
    """From one end of it to the other."""
    codes = {confirming.user_code(number / 1000) for number in range(1000)}
    assert len(codes) == 1000


def test_the_challenge_is_that_of_the_standard() -> None:
    """RFC 7636 appendix B."""
    verifier = Secret("PKCE verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert confirming.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_new_line_begins_after_a_logout_and_no_sooner() -> None:
    """Leases from before the logout open nothing again."""
    new = grant(line="random", generation=1)
    first = confirming.lined(new, None)
    kept = confirming.lined(new, grant(line="kept"))
    after = confirming.lined(new, grant(line=first.line, state=GrantState.ENDED, generation=2))
    assert kept.line == "kept"
    assert len({first.line, kept.line, after.line, "random"}) == 4


def test_a_grant_is_overtaken_by_a_logout_or_another_line() -> None:
    """In each case its login's leases would open the wrong thing, or nothing."""
    waiting = grant(login_id="mine")
    ended = GrantState.ENDED
    for fine in (
        None,
        grant(),
        grant(line="before", state=ended),
        grant(login_id="mine", line="x"),
    ):
        confirming.check_overtaken(waiting, fine)
    for bad in (grant(line="other"), grant(state=ended)):
        with pytest.raises(LoginDenied):
            confirming.check_overtaken(waiting, bad)


def test_names_grow_no_older_than_time() -> None:
    """A name from the future counts as young."""
    name = confirming.new_id("r" * 14, NOON + datetime.timedelta(days=1))
    assert confirming.age_by_name(name, NOON) < 0
