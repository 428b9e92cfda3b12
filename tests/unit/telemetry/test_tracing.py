"""From a token, a lease, a job, a person, a host or a request one gets to all the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from credbroker.domain.errors import Malformed
from credbroker.telemetry.audit import AuditTrail
from credbroker.telemetry.tracing import Followed, Selection, Trace
from credbroker.telemetry.trail_files import raw_lines
from tests.fakes.clock import FakeClock

ADA = {"issuer": "cms", "credkey": "ada", "role": "default"}
LOGIN, JOB, STEP, BOB = (letter * 22 for letter in "ljsb")


class Site:
    """Two replicas and their trails."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.folder = folder

    async def say(self, replica: str, event: str, **fields: object) -> None:
        """Write a line a second after the one before."""
        self.clock.advance(1.0)
        trail = AuditTrail(self.folder, replica, self.clock)
        await trail.record(event, **fields)
        trail.close()

    def trace(self, kind: Followed, name: str) -> tuple[Trace, list[str]]:
        """Return what a trace finds: the lines as event and number, in their order."""
        found = Trace(Selection.of(kind, name))
        lines = found.follow(sorted(self.folder.glob("audit-*")))
        return found, [f"{line.event} {line.jti or line.child or line.lease}" for line, _ in lines]


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    """Ada's login on one replica, her job's lease on another, tokens from both; and Bob's."""
    site = Site(tmp_path)
    ada = {**ADA, "client_id": "broker"}
    away = {"address": "192.0.2.7"}
    await site.say("r1", "login", lease=LOGIN, request_id="req-login", address="192.0.2.1", **ada)
    await site.say("r1", "login", lease=BOB, issuer="cms", credkey="bob", address="192.0.2.2")
    await site.say("r2", "lease_made", lease=LOGIN, child=JOB, for_job="run42", **ADA)
    await site.say("r1", "mint", lease=LOGIN, jti="t-login", **ada)
    await site.say("r1", "lease_made", lease=JOB, child=STEP, job="run42", **away, **ADA)
    await site.say("r2", "mint", lease=STEP, jti="t-step", request_id="req-1", **away, **ada)
    await site.say("r1", "sign", jti="t-fts", subject_jti="t-step", client_id="fts", sub="ada-1",
                   iss="https://broker.test/dteam")  # fmt: skip
    await site.say("r2", "offline_begun", offline="o-1", subject_jti="t-step", client_id="fts")
    await site.say("r2", "delivery", lease=BOB, jti="t-bob", issuer="cms", credkey="bob")
    await site.say("r1", "offline_ended", offline="o-1", client_id="fts")
    await site.say("r1", "contained", kind="job", name="run42", reason="ticket")
    return site


OF_STEP = ["mint t-step", "sign t-fts", "offline_begun ", "offline_ended "]


async def test_a_token_leads_to_the_job_the_person_and_the_login(site: Site) -> None:
    """And to what was made of it, over all replicas, in the order of time."""
    found, lines = site.trace(Followed.TOKEN, "t-step")
    made = [f"login {LOGIN}", f"lease_made {JOB}", f"lease_made {STEP}"]
    assert lines == made + OF_STEP
    assert (found.people, found.jobs) == ({"cms/ada"}, {"run42"})
    assert found.tokens == {"t-step", "t-fts"}
    assert found.asked_by == {STEP}
    assert found.origins == {"192.0.2.1", "192.0.2.7"}


async def test_a_token_that_was_exchanged_leads_back_to_the_job_and_the_login(site: Site) -> None:
    """However often; what else came of the tokens on the way is not told."""
    await site.say("r2", "sign", jti="t-again", subject_jti="t-fts", client_id="rucio")
    await site.say("r2", "sign", jti="t-other", subject_jti="t-step", client_id="rucio")
    found, lines = site.trace(Followed.TOKEN, "t-again")
    made = [f"login {LOGIN}", f"lease_made {JOB}", f"lease_made {STEP}"]
    assert lines == [*made, "mint t-step", "sign t-fts", "sign t-again"]
    assert (found.people, found.jobs, found.tokens) == ({"cms/ada"}, {"run42"}, {"t-again"})
    assert found.asked_by == {STEP}


async def test_a_job_leads_to_its_tokens_and_who_made_it(site: Site) -> None:
    """Also to what was done about it."""
    found, lines = site.trace(Followed.JOB, "run42")
    assert lines == [
        f"login {LOGIN}", f"lease_made {JOB}", f"lease_made {STEP}", *OF_STEP, "contained ",
    ]  # fmt: skip
    assert found.leases == {JOB, STEP}


async def test_a_lease_leads_to_all_below_it_and_not_to_what_its_parent_got(site: Site) -> None:
    """Its parent is told, up to the login."""
    _, lines = site.trace(Followed.LEASE, JOB)
    assert lines == [f"login {LOGIN}", f"lease_made {JOB}", f"lease_made {STEP}", *OF_STEP]
    _, lines = site.trace(Followed.LEASE, LOGIN)
    assert "mint t-login" in lines
    assert "delivery t-bob" not in lines


async def test_a_person_leads_to_all_of_theirs_and_nothing_of_others(site: Site) -> None:
    """Robots are their person's."""
    await site.say("r2", "mint", issuer="cms", credkey="ada/robot", jti="t-robot", lease="r" * 22)
    await site.say("r2", "mint", issuer="cms", credkey="adam", jti="t-adam", lease="m" * 22)
    found, lines = site.trace(Followed.PERSON, "cms/ada")
    assert {"mint t-login", "mint t-robot", *OF_STEP} <= set(lines)
    assert not {"mint t-adam", "delivery t-bob", f"login {BOB}"} & set(lines)
    assert found.people == {"cms/ada", "cms/ada/robot"}


async def test_a_host_leads_to_what_was_asked_from_there_and_what_came_of_it(site: Site) -> None:
    """By address, however a socket wrote it, or by name."""
    await site.say("r2", "mint", address="::ffff:192.0.2.7", jti="t-mapped", lease=LOGIN, **ADA)
    found, lines = site.trace(Followed.HOST, "192.0.2.7")
    assert {f"lease_made {STEP}", "mint t-mapped", *OF_STEP} <= set(lines)
    assert "mint t-login" not in lines
    assert found.leases == {STEP}
    await site.say("r1", "host_session", host="wn1.example.org", lease="h" * 22)
    assert site.trace(Followed.HOST, "wn1.example.org")[1] == ["host_session " + "h" * 22]


async def test_a_delivered_lease_comes_of_the_order_and_of_the_hosts_session(site: Site) -> None:
    """Whichever of them is followed, it is found."""
    standing, given, session = "o" * 22, "g" * 22, "h" * 22
    await site.say("r1", "delivery_lease", lease=session, child=given, delivery="d-1", **ADA)
    await site.say("r2", "delivery_consented", lease=LOGIN, child=standing, delivery="d-1", **ADA)
    await site.say("r2", "mint", lease=given, jti="t-given", **ADA)
    for lease in (LOGIN, standing, session, given):
        assert "mint t-given" in site.trace(Followed.LEASE, lease)[1]


async def test_a_client_of_ours_leads_to_what_was_signed_for_it_or_about_a_subject(
    site: Site,
) -> None:
    """The broker's own client at somebody's issuer is none of these."""
    _, lines = site.trace(Followed.CLIENT, "dteam/fts")
    assert lines == ["sign t-fts", "offline_begun ", "offline_ended "]
    assert site.trace(Followed.CLIENT, "dteam/ada-1")[1][0] == "sign t-fts"
    assert site.trace(Followed.CLIENT, "dteam/broker")[1] == []


async def test_clients_of_two_communities_may_have_one_id(site: Site) -> None:
    """What one of them got is not the other's; a line of before communities were told is either's."""
    for community in ("dteam", "belle"):
        await site.say("r1", "sign", jti=f"t-{community}", client_id="rucio", community=community)
    await site.say("r1", "sign", jti="t-old", client_id="rucio")
    await site.say("r1", "mint", client_id="rucio", jti="t-upstream", **ADA)
    await site.say("r1", "bridge", sub="rucio", jti="t-bridge", community="dteam", **ADA)
    assert site.trace(Followed.CLIENT, "dteam/rucio")[1] == [
        "sign t-dteam", "sign t-old", "bridge t-bridge",
    ]  # fmt: skip
    assert site.trace(Followed.CLIENT, "belle/rucio")[1] == ["sign t-belle", "sign t-old"]


async def test_a_request_leads_to_what_was_done_for_it(site: Site) -> None:
    """By the id that stands in a person's error message."""
    _, lines = site.trace(Followed.REQUEST, "req-1")
    assert set(OF_STEP) <= set(lines)
    _, lines = site.trace(Followed.ISSUER, "cms")
    assert len(lines) == len(site.trace(Followed.PERSON, "cms/ada")[1]) + 2


async def test_lines_come_as_they_stand_in_the_files(site: Site) -> None:
    """Each whole; one that cannot be read is counted, half a one at the end is not."""
    with (site.folder / "audit-r1.jsonl").open("ab") as file:
        file.write(b"rubbish\n" + b'{"time":"2026')
    found = Trace(Selection.of(Followed.JOB, "run42"))
    raw = [json.loads(raw) for _, raw in found.follow(sorted(site.folder.iterdir()))]
    assert all(len(one["previous"]) == 64 for one in raw)
    assert (found.lines, found.unreadable) == (len(raw), 1)


async def test_no_more_files_are_open_at_once_than_replicas_wrote_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year of rotated files must not meet the limit on open ones."""
    open_now, most = 0, 0

    def counted(file: Path) -> Iterator[bytes]:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            yield from raw_lines(file)
        finally:
            open_now -= 1

    monkeypatch.setattr("credbroker.telemetry.tracing.raw_lines", counted)
    site = Site(tmp_path)
    for day in range(9):
        for replica in ("r1", "r2") * 2:
            await site.say(replica, "mint", jti=f"{replica}-{day}", issuer="cms")
        for replica in ("r1", "r2"):
            (tmp_path / f"audit-{replica}.jsonl").rename(tmp_path / f"audit-{replica}.jsonl.{day}")
    _, lines = site.trace(Followed.ISSUER, "cms")
    assert lines == [f"mint {replica}-{day}" for day in range(9) for replica in ("r1", "r2") * 2]
    assert (most, open_now) == (2, 0)


def test_names_are_those_that_contain_takes() -> None:
    """In its one form; what can name nothing is refused."""
    assert Selection.of(Followed.HOST, "::ffff:192.0.2.7").name == "192.0.2.7"
    with pytest.raises(Malformed):
        Selection.of(Followed.LEASE, "short")
