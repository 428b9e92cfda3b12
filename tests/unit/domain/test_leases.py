"""A lease is its secret's hash; a child never outlives or outreaches its parent."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.attenuation import Ceiling, Right
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, Malformed, NotAllowed, OutsideCeiling
from credbroker.domain.leases import (
    DEEPEST,
    Lease,
    LeaseToken,
    check_alive,
    check_job_name,
    check_login,
    check_secret,
    check_unchained,
    child,
    end,
    id_on,
    login_lease,
    shorter,
    tag_of,
    without_chance,
)
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.starts import Start, Starts, mark_of, next_secret
from tests.unit.things import LEASE_TOKEN, NOON, ceilings, lease, scope_sets, seconds

READ = Right(ScopeSet.parse("storage.read:/a"), ("https://se.test",))


def make_child(parent: Lease, right: Right = READ, life: float = 60, job: str = "job-1") -> Lease:
    """Make a job's lease under `parent` at noon."""
    token = LeaseToken("c" * 22, Secret("lease", "t" * 43))
    return child(parent, token, right, job=job, seconds=life, now=NOON)


def test_a_logins_lease_reaches_all_of_its_grant_and_nobody_elses() -> None:
    """Robots too, if it is said whose they are; the record knows the secret's hash alone."""
    key = GrantKey("cms", "ada", "default")
    made = login_lease(LEASE_TOKEN, key, "line-1", seconds=60.0, now=NOON)
    assert (made.ceiling, made.ancestors, made.job) == (Ceiling(), (), None)
    assert made.ends_at - made.created_at == datetime.timedelta(seconds=60)
    assert check_secret(made, LEASE_TOKEN) is made
    robot = GrantKey("cms", "ada/robot", "default")
    assert made.may_reach(key)
    assert not made.may_reach(robot)
    whose = login_lease(LEASE_TOKEN, key, "line-1", seconds=60.0, now=NOON, subject="sub-ada")
    assert whose.may_reach(robot)


def test_a_lease_token_comes_back_from_its_text() -> None:
    """As `cb_<id>.<secret>`."""
    text = LEASE_TOKEN.text().reveal()
    assert re.fullmatch(r"cb_[\w-]{22}\.[\w-]{43}", text)
    assert LeaseToken.parse(text) == LEASE_TOKEN


def test_the_leases_of_a_line_have_ids_that_begin_alike() -> None:
    """And as every other lease's id may look."""
    one, other = id_on("line-1", "A" * 14), id_on("line-1", "B" * 14)
    assert one[:8] == other[:8] == tag_of("line-1") != tag_of("line-2")
    token = LeaseToken(one, Secret("lease", "s" * 43))
    assert LeaseToken.parse(token.text().reveal()).id == one


@given(st.text(max_size=80))
def test_any_other_text_is_no_lease(text: str) -> None:
    """The refusal neither repeats it nor says "permission denied", which clients take for an end."""
    with pytest.raises(LeaseUnknown) as refused:
        LeaseToken.parse(text)
    assert "permission denied" not in f"{refused.value} {refused.value.remedy}".lower()


def test_a_lease_token_shows_nobody_its_secret() -> None:
    """Neither by itself nor in the record."""
    shown = f"{LEASE_TOKEN!r} {LEASE_TOKEN} {LEASE_TOKEN.text()!r} {lease()!r}"
    assert "s" * 20 not in shown


def test_the_secret_decides() -> None:
    """A right id with a wrong secret is as unknown as no lease at all."""
    assert check_secret(lease(), LEASE_TOKEN) == lease()
    wrong = LeaseToken(LEASE_TOKEN.id, Secret("lease", "x" * 43))
    for found, shown in [(lease(), wrong), (None, LEASE_TOKEN)]:
        with pytest.raises(LeaseUnknown, match="This lease is not known here"):
            check_secret(found, shown)


def test_no_secret_opens_a_lease_that_is_not_there() -> None:
    """Not even the empty one, whose hash stands in for it."""
    with pytest.raises(LeaseUnknown):
        check_secret(None, LeaseToken("i" * 22, Secret("lease", "")))


def test_a_lease_ends_by_time_or_by_hand() -> None:
    """At its end, not after it; ending twice keeps the first time."""
    check_alive(lease(), NOON + seconds(86399.9))
    ended = end(lease(), NOON)
    assert end(ended, NOON + seconds(5)) is ended
    for over, now in [(lease(), NOON + seconds(86400)), (ended, NOON)]:
        with pytest.raises(LeaseEnded):
            check_alive(over, now)


@given(ceilings, scope_sets, st.lists(st.sampled_from(["a", "b"]), max_size=2), st.floats(0, 1e6))
def test_a_child_is_within_its_parent(
    ceiling: Ceiling, scopes: ScopeSet, audiences: list[str], life: float
) -> None:
    """In scopes, audiences and time; or it is not made."""
    parent = lease(ceiling=ceiling)
    try:
        made = make_child(parent, Right(scopes, tuple(audiences)), life)
    except OutsideCeiling:
        return
    assert made.ceiling.within(parent.ceiling)
    assert made.ends_at <= parent.ends_at
    assert made.ends_at <= NOON + seconds(life)
    assert (made.ancestors, made.line, made.key) == ((parent.id,), parent.line, parent.key)


def test_a_child_of_a_narrow_parent_must_name_an_audience() -> None:
    """The issuer's own choice would be wider."""
    parent = lease(ceiling=Ceiling(None, ("https://se.test",)))
    with pytest.raises(OutsideCeiling):
        make_child(parent, Right(READ.scopes))


def test_generations_of_leases_are_few() -> None:
    """A job's lease may make one more below it and that one none."""
    made = lease()
    for _ in range(DEEPEST - 1):
        assert make_child(made).ancestors == (*made.ancestors, made.id)
        made = make_child(made)
    with pytest.raises(NotAllowed):
        make_child(made)


def test_only_a_logins_lease_is_a_persons() -> None:
    """A job may fetch its tokens and nothing else."""
    check_login(lease())
    with pytest.raises(NotAllowed):
        check_login(make_child(lease()))


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\x1b[0m", "a\u202eb"])
def test_a_jobs_name_can_be_shown(name: str) -> None:
    """It ends up in terminals and audit lines."""
    with pytest.raises(Malformed):
        check_job_name(name)


def test_a_usual_jobs_name_is_kept() -> None:
    """Accents and spaces included."""
    assert check_job_name("Größe 1234.0") == "Größe 1234.0"


def test_all_secrets_of_a_job_have_one_part_in_common_and_other_tokens_are_whole() -> None:
    """However they are shown; nobody else's are like them."""
    first = LEASE_TOKEN
    mark = mark_of(first.secret)
    shown = [
        f"Bearer {LeaseToken(first.id, next_secret(mark, f'{n:027d}')).text().reveal()}"
        for n in range(3)
    ]
    assert {without_chance(one) for one in shown} == {f"Bearer cb_{first.id}.{mark}"}
    for other in ("", "hvs." + "f" * 60, "Basic x", first.text().reveal(), shown[0] + "x"):
        assert without_chance(other) == other


def test_a_jobs_lease_with_starts_makes_no_others_and_says_how_to_use_it() -> None:
    """Its secret begins chains, and is good for nothing else."""
    token = LeaseToken("c" * 22, Secret("lease", "t" * 43))
    made = child(lease(), token, READ, job="job-1", seconds=60, now=NOON, starts=3)
    assert made.starts == Starts.of(token.secret, 3)
    with pytest.raises(NotAllowed, match="next secret") as refused:
        shorter(made, LEASE_TOKEN, 60, NOON)
    assert "agent --job" in refused.value.remedy
    check_unchained(make_child(lease()))


def test_a_lease_that_an_alarm_ended_tells_what_happened() -> None:
    """To whoever holds it: the job, and the person who asks how it stands."""
    alarm = Start(NOON, "192.0.2.7")
    stopped = replace(end(lease(), NOON), starts=Starts("f" * 64, "m" * 16, 3, alarm=alarm))
    with pytest.raises(LeaseEnded, match=r"192\.0\.2\.7"):
        check_alive(stopped, NOON)
    with pytest.raises(LeaseEnded, match="was ended"):
        check_alive(replace(stopped, starts=Starts("f" * 64, "m" * 16, 3)), NOON)
