"""A mark ends what was made before it, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import (
    Busy,
    ClientNotAllowed,
    LeaseEnded,
    Malformed,
    NotFound,
    TokenRefused,
)
from credbroker.domain.leases import Lease
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import (
    CLOCKS_OFF_SECONDS,
    MOST_BYTES,
    Kind,
    Mark,
    Revocations,
    View,
    check_client,
    check_host,
    check_name,
    check_not_revoked,
    check_proof,
    check_signed,
    moment_of_proof,
)
from credbroker.wire.revocations import write_revocations
from tests.unit.things import NOON, instants, lease, names, seconds

LATER = NOON + seconds(3600)
ID = "a" * 22


def a_lease(**changes: Any) -> Lease:
    """Return a robot's lease for a job, made at noon from 192.0.2.7 for the host lx1."""
    made = {"id": ID, "job": "job 1", "origin": "192.0.2.7", "host": "lx1.example.org"}
    return lease(**made | {"key": GrantKey("cms", "ada/prod/host", "default")} | changes)


def is_over(found: Lease, view: View) -> bool:
    """Tell whether these marks end that lease."""
    try:
        check_not_revoked(found, view)
    except LeaseEnded:
        return True
    return False


def marked(kind: Kind, name: str, before: Any = LATER) -> View:
    """Return a view with one mark."""
    return {kind: {name: Mark(before, LATER)}}


HITS = [
    (Kind.LEASE, ID),
    (Kind.PERSON, "cms/ada/prod/host"),
    (Kind.PERSON, "cms/ada/prod"),
    (Kind.PERSON, "cms/ada"),
    (Kind.JOB, "job 1"),
    (Kind.HOST, "192.0.2.7"),
    (Kind.HOST, "lx1.example.org"),
    (Kind.ISSUER, "cms"),
]
MISSES = [
    (Kind.LEASE, "b" * 22),
    (Kind.PERSON, "cms/ad"),
    (Kind.PERSON, "cms/ada/pro"),
    (Kind.PERSON, "egi/ada"),
    (Kind.PERSON, "cms"),
    (Kind.JOB, "job 11"),
    (Kind.HOST, "192.0.2.77"),
    (Kind.HOST, "lx11.example.org"),
    (Kind.HOST, "example.org"),
    (Kind.ISSUER, "cm"),
]


@pytest.mark.parametrize(("kind", "name"), HITS)
def test_each_kind_ends_what_bears_its_name(kind: Kind, name: str) -> None:
    """A person's mark holds for their robots."""
    assert is_over(a_lease(), marked(kind, name))


@pytest.mark.parametrize(("kind", "name"), MISSES)
def test_nothing_else_is_ended(kind: Kind, name: str) -> None:
    """Neither by a part of a name, nor by the same name of another kind or issuer."""
    assert not is_over(a_lease(), marked(kind, name))


@pytest.mark.parametrize(("kind", "name"), HITS[1:])
def test_what_was_made_from_the_moment_on_counts(kind: Kind, name: str) -> None:
    """Whoever logs in again goes on; a second earlier it is over."""
    assert not is_over(a_lease(created_at=LATER), marked(kind, name))
    assert is_over(a_lease(created_at=LATER - seconds(1)), marked(kind, name))


def test_a_lease_takes_those_made_from_it_along_whenever_they_were_made() -> None:
    """A replica that has not heard yet may make one after the mark."""
    child = a_lease(id="c" * 22, ancestors=("b" * 22, ID), created_at=LATER + seconds(9))
    assert is_over(child, marked(Kind.LEASE, ID))
    assert not is_over(child, marked(Kind.LEASE, "d" * 22))


def test_a_lease_without_job_or_origin_is_ended_by_none_of_these() -> None:
    """What is not known cannot be meant."""
    plain = a_lease(job=None, origin="", host="")
    for name in ("", "None", "192.0.2.7"):
        assert not is_over(plain, marked(Kind.JOB, name))
    assert not is_over(plain, marked(Kind.HOST, "192.0.2.7"))


@pytest.mark.parametrize("written", ["192.0.2.7", "::ffff:192.0.2.7"])
def test_a_host_is_the_same_however_a_socket_writes_its_address(written: str) -> None:
    """Sockets for both families write IPv4 addresses in their own way."""
    assert check_name(Kind.HOST, written) == "192.0.2.7"
    assert is_over(a_lease(origin=written), marked(Kind.HOST, "192.0.2.7"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.LEASE, "cb_" + ID),
        (Kind.LEASE, f"cb_{ID}.{'s' * 43}"),
        (Kind.PERSON, "ada"),
        (Kind.PERSON, "cms/"),
        (Kind.PERSON, "../ada"),
        (Kind.JOB, ""),
        (Kind.HOST, "wn1 example"),
        (Kind.HOST, "192.0.2.777"),
        (Kind.ISSUER, "cms/ada"),
    ],
)
def test_a_name_that_no_lease_could_bear_is_refused(kind: Kind, name: str) -> None:
    """Rather than contain nobody; a lease token is not said back."""
    with pytest.raises(Malformed) as caught:
        check_name(kind, name)
    assert "s" * 43 not in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), HITS)
def test_a_right_name_stays_as_it_is(kind: Kind, name: str) -> None:
    """It is what leases are held against."""
    assert check_name(kind, name) == name


@pytest.mark.parametrize("name", ["lx1.example.org", "192.0.2.7"])
def test_what_a_host_proved_before_its_mark_is_over(name: str) -> None:
    """By its name as by its address; a proof from then on counts, and so does another host's."""
    view = marked(Kind.HOST, name)
    for address in ("192.0.2.7", "::ffff:192.0.2.7"):
        with pytest.raises(LeaseEnded, match="contained this host"):
            check_host("lx1.example.org", address, LATER - seconds(1), view)
        check_host("lx1.example.org", address, LATER, view)
    check_host("lx2.example.org", "192.0.2.8", NOON, view)
    check_host("lx1.example.org", "192.0.2.7", NOON, {})


@given(instants, st.integers(0, 999_999))
def test_a_mark_never_moves_back_when_it_is_cut_to_seconds(at: Any, microseconds: int) -> None:
    """A lease made in the second of the mark is over: its record bears the second's start."""
    exact = at.replace(microsecond=microseconds)
    mark = Mark.of(exact, exact)
    assert mark.before.microsecond == 0
    assert exact <= mark.before < exact + seconds(1)


def test_a_second_mark_ends_what_either_ends() -> None:
    """An earlier one never brings a lease back."""
    first = Revocations(Kind.JOB).added({"x": Mark(LATER, LATER)}, NOON)
    again = first.added({"x": Mark(NOON, LATER + seconds(9))}, NOON)
    assert again.marks == {"x": Mark(LATER, LATER + seconds(9))}


def test_what_no_lease_is_old_enough_for_is_dropped_with_the_next_write() -> None:
    """On the second."""
    old = Revocations(Kind.JOB, {"old": Mark(NOON, LATER), "new": Mark(NOON, LATER + seconds(1))})
    assert set(old.added({"x": Mark(LATER, LATER)}, LATER).marks) == {"new", "x"}


@pytest.mark.parametrize("name", ["{:022}", "{:06}" + "\U0001f600" * 97, "{:06}" + '<"' * 97])
def test_marks_stay_within_what_the_store_takes(name: str) -> None:
    """One too many is refused, whatever the names; one that is there already is none more."""
    full, many = Revocations(Kind.JOB), 0
    mark = Mark(NOON, LATER)
    with pytest.raises(Busy, match="no room"):  # noqa: PT012 - which one it is, is counted
        while True:
            more = {name.format(at): mark for at in range(many, many + 100)}
            full, many = full.added(more, NOON), many + 100
    written = json.dumps(write_revocations(full), ensure_ascii=False)
    as_stored = len(written.encode()) + 5 * sum(written.count(one) for one in "<>&")
    assert 0.8 * MOST_BYTES < as_stored < MOST_BYTES, as_stored
    assert full.added({name.format(0): Mark(LATER, LATER)}, NOON).marks.keys() == full.marks.keys()


# -- what was proved before, and what after ---------------------------------------------------------

ROBOT = GrantKey("cms", "ada/prod/host", "default")


@pytest.mark.parametrize(("kind", "name"), [HITS[1], HITS[3], HITS[-1]])
def test_what_was_proved_before_a_mark_opens_nothing(kind: Kind, name: str) -> None:
    """A grant, a ticket or an ssh key of a person, or of their robot; from the moment on they do."""
    with pytest.raises(LeaseEnded):
        check_proof(ROBOT, LATER - seconds(1), marked(kind, name))
    check_proof(ROBOT, LATER, marked(kind, name))


@pytest.mark.parametrize("kind", [Kind.LEASE, Kind.JOB, Kind.HOST])
def test_a_lost_job_or_host_costs_nobody_the_login(kind: Kind) -> None:
    """The person proved who they are elsewhere."""
    for name in (ID, "job 1", "192.0.2.7", "cms/ada", "cms"):
        check_proof(ROBOT, NOON, marked(kind, name))


@pytest.mark.parametrize(("kind", "name"), [HITS[3], HITS[-1]])
@given(ahead=st.integers(-120, 120))
def test_who_logs_in_where_the_mark_is_known_comes_after_it(
    kind: Kind, name: str, ahead: int
) -> None:
    """Whatever the clocks of both say, within what they may be off."""
    view = marked(kind, name, NOON + seconds(ahead))
    at = moment_of_proof(ROBOT, NOON, view)
    check_proof(ROBOT, at, view)
    assert at >= NOON


def test_nobody_comes_after_a_moment_that_an_operator_put_far_ahead() -> None:
    """Until then no login counts."""
    view = marked(Kind.PERSON, "cms/ada", NOON + seconds(2 * CLOCKS_OFF_SECONDS + 1))
    assert moment_of_proof(ROBOT, NOON, view) == NOON
    assert moment_of_proof(replace(ROBOT, credkey="bob"), NOON, view) == NOON


def test_a_name_is_the_same_however_its_letters_are_composed() -> None:
    """A person types it in one way, and a file system or an issuer writes it in the other."""
    alone, composed = "Jose\u0301", "Jos\u00e9"
    assert check_name(Kind.JOB, alone) == check_name(Kind.JOB, composed)
    for shown in (alone, composed):
        view = marked(Kind.JOB, check_name(Kind.JOB, shown))
        assert is_over(a_lease(job=alone), view)
        assert is_over(a_lease(job=composed), view)
        view = marked(Kind.PERSON, check_name(Kind.PERSON, f"cms/{shown}"))
        assert is_over(a_lease(key=replace(ROBOT, credkey=alone)), view)
        assert is_over(a_lease(key=replace(ROBOT, credkey=composed)), view)


def test_a_mark_that_is_not_there_cannot_be_lifted() -> None:
    """A slip of the pen must not look like a success."""
    there = Revocations(Kind.JOB, {"x": Mark(NOON, LATER), "y": Mark(NOON, LATER)})
    assert set(there.lifted("x").marks) == {"y"}
    with pytest.raises(NotFound):
        there.lifted("z")


@given(st.sampled_from(Kind), names, instants, instants)
def test_without_marks_nothing_is_over(kind: Kind, name: str, made: Any, before: Any) -> None:
    """And an issuer's mark spares every lease of another issuer."""
    found = a_lease(created_at=made)
    assert not is_over(found, {kind: {}})
    if name != "cms":
        assert not is_over(found, marked(Kind.ISSUER, name, before))


def test_a_contained_client_is_stopped_for_as_long_as_the_mark_stands() -> None:
    """In its own community alone."""
    view = marked(Kind.CLIENT, "dteam/rucio")
    with pytest.raises(ClientNotAllowed, match="contained"):
        check_client("dteam", "rucio", view)
    check_client("dteam", "fts", view)
    check_client("ops", "rucio", view)
    check_client("dteam", "rucio", {})


def is_signed_over(view: View, *names: str, jti: str = "jti-1", at: Any = NOON) -> bool:
    """Tell whether these marks end what was signed."""
    try:
        check_signed("dteam", names, jti, at, view)
    except TokenRefused:
        return True
    return False


def test_what_was_signed_before_a_mark_on_its_client_or_subject_is_over() -> None:
    """What was signed later counts, and so does what others were given."""
    view = marked(Kind.CLIENT, "dteam/rucio")
    assert is_signed_over(view, "rucio", "somebody")
    assert is_signed_over(view, "fts", "rucio")
    assert not is_signed_over(view, "fts", "fts")
    assert not is_signed_over(view, "rucio", at=LATER)
    assert not is_signed_over(marked(Kind.CLIENT, "ops/rucio"), "rucio")


def test_a_mark_on_a_token_ends_it_alone() -> None:
    """Whenever it was signed; and no lease."""
    view = marked(Kind.TOKEN, "jti-1")
    assert is_signed_over(view, "rucio", at=LATER)
    assert not is_signed_over(view, "rucio", jti="jti-2")
    assert not is_over(a_lease(), {**view, **marked(Kind.CLIENT, "cms/ada")})


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Kind.CLIENT, "rucio"), (Kind.CLIENT, "dteam/"), (Kind.CLIENT, "dteam/a\nb"),
     (Kind.CLIENT, "/rucio"), (Kind.TOKEN, ""), (Kind.TOKEN, "a b"), (Kind.TOKEN, "a" * 256)],
)  # fmt: skip
def test_what_names_no_client_or_token_is_refused(kind: Kind, name: str) -> None:
    """A client without its community could be anybody's."""
    with pytest.raises(Malformed):
        check_name(kind, name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.CLIENT, "dteam/host:ce.example.org"),
        (Kind.CLIENT, "dteam/Ada Smith"),
        (Kind.TOKEN, "0a-B_c.d"),
    ],
)
def test_a_clients_or_tokens_name_stays_as_it_is(kind: Kind, name: str) -> None:
    """As it stands in tokens."""
    assert check_name(kind, name) == name
