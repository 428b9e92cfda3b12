"""`credbroker credmon` in the place of HTCondor's own, as credd, schedd, shadow and master see it.

| an access point expects | test |
|---|---|
| whole private files of root's, trusted folder or not | `test_jobs_find_whole_private_files_of_roots` |
| new, replaced and removed requests | `test_requests_come_change_and_go_without_a_signal` |
| handles by their parent | `test_a_handle_is_served_by_its_parent` |
| nothing lost by errors that pass, nothing kept past a certain end | `test_refusals_take_nothing_away_and_a_certain_end_does_in_time` |
| a user swept away at any step | `test_users_who_are_swept_away_are_not_made_again` |
| no server delays another | `test_a_server_that_never_answers_delays_no_other` |
| pid, completion, signals, exit codes | `test_it_starts_and_stops_in_htcondors_order` and those after it |
| root's folder, closed to others | `test_a_folder_that_is_open_to_others_is_refused` |
| ten minutes left, or an alarm | `test_what_ends_soon_is_an_alarm_in_log_and_list` |
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from credbroker.edge.condor.command import CANNOT_LOG, NEVER_AGAIN
from tests.fakes.credd import CONDOR, IS_ROOT
from tests.fakes.token_server import TokenServer
from tests.integration.credmon_world import CLOCK, CondorWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority


@pytest.fixture
async def world(tmp_path: Path, authority: Authority) -> AsyncIterator[CondorWorld]:
    """An access point without a credmon."""
    made = CondorWorld(tmp_path, authority)
    yield made
    await made.close()


def request(server: TokenServer, token: str = "hvs.alice", who: str = "alice") -> dict[str, str]:
    """Return a request as a storer stores it."""
    return {"vault_url": server.url(who), "vault_token": token}


def is_token_of(world: CondorWorld, beginning: str) -> bool:
    """Say whether alice's token is one of this vault token's."""
    return world.jti("alice", "cms").startswith(beginning)


# Files


@pytest.mark.parametrize("token", ["hvs.alice", "cb_alice"])
async def test_jobs_find_whole_private_files_of_roots(world: CondorWorld, token: str) -> None:
    """From an HTVault as from a broker; the folder stays HTCondor's, and nothing else lies in it."""
    server = await world.server()
    world.credd.store("alice", "cms", request(server, token), scopes="storage.read:/")
    await world.credmon()
    path = world.use("alice", "cms")
    found = path.stat()
    assert found.st_mode & 0o7777 == 0o400
    assert found.st_uid == os.geteuid()
    for trusted in (False, True):
        content = world.credd.as_shadow_reads("alice", "cms", trusted=trusted)
        assert content.count(b"\n") == 1
        assert content.endswith(b"\n")
    assert sorted(one.name for one in path.parent.iterdir()) == ["cms.top", "cms.use"]
    if IS_ROOT:
        assert path.parent.stat().st_uid == CONDOR
    if token == "hvs.alice":
        assert server.queries == [{"minimum_seconds": "2400", "scopes": "storage.read:/"}]


async def test_requests_come_change_and_go_without_a_signal(world: CondorWorld) -> None:
    """The credd signals a new one only; a replaced and a removed one are noticed all the same."""
    server = await world.server()
    await world.credmon()
    world.credd.store("alice", "cms", request(server))
    await world.until(lambda: world.jti("alice", "cms"))
    assert world.credd.signals == 1
    world.credd.store("alice", "cms", request(server, "hvs.second"))
    await world.until(lambda: world.jti("alice", "cms").startswith("hvs.seco"))
    assert world.credd.signals == 1
    plain = world.credd.store_plain("alice", "plain", b"plain")
    (world.credd.folder / "alice" / "cms.top").unlink()
    await world.until(lambda: not world.use("alice", "cms").exists())
    assert plain.read_bytes() == b"plain"


async def test_a_new_request_is_served_in_a_fifth_of_a_second(world: CondorWorld) -> None:
    """Measured ten times over; the best of them counts, since the machine has others to serve."""
    server = await world.server()
    await world.credmon()
    world.credd.user("alice")
    took = []
    for number in range(10):
        begun = CLOCK.elapsed()
        world.credd.store("alice", f"s{number}", request(server))
        await world.until(world.use("alice", f"s{number}").exists)
        took.append(CLOCK.elapsed() - begun)
    assert min(took) < 0.2


async def test_a_handle_is_served_by_its_parent(world: CondorWorld) -> None:
    """Without its parent it is an error in the log, and no file is removed."""
    server = await world.server()
    world.credd.store("alice", "cms_ro", {"vault_url": server.url()}, audience="https://se")
    credmon = await world.credmon()
    assert "It needs the vault token of cms" in credmon.said()
    assert (world.credd.folder / "alice" / "cms_ro.top").exists()
    world.credd.store("alice", "cms", request(server))
    await world.until(lambda: world.jti("alice", "cms_ro"))
    assert {"minimum_seconds": "2400", "audience": "https://se"} in server.queries


async def test_users_who_are_swept_away_are_not_made_again(world: CondorWorld) -> None:
    """Thirty users come and go as fast as they can while their tokens are fetched."""
    server = await world.server()
    credmon = await world.credmon()
    for number in range(30):
        user = f"u{number}"
        world.credd.store(user, "cms", request(server))
        if number % 3:
            await CLOCK.sleep(0.003 * (number % 7))
        world.credd.mark(user)
        world.credd.sweep(user)
    world.credd.store("alice", "cms", request(server))
    await world.until(lambda: world.jti("alice", "cms"))
    users = {one.name for one in world.credd.folder.iterdir() if one.is_dir()}
    assert users == {"alice"}
    assert await credmon.stop() < 10


async def test_what_is_poisoned_concerns_its_own_name_alone(world: CondorWorld) -> None:
    """One in ten of a hundred is broken in one of ten ways; all others are served."""
    server = await world.server()
    target = world.folder / "target"
    poison = [b"{", b"\xff\xfe", b"[]", b"{}", b" " * 100_000, b"[" * 50_000, b"null", b"",
              b'{"vault_url": "file:///etc/passwd", "vault_token": "x"}']  # fmt: skip
    for number in range(100):
        user = f"u{number}"
        if number % 10 or number == 90:
            world.credd.store(user, "cms", request(server, f"hvs.{number}"))
        else:
            world.credd.store(user, "cms", poison[number // 10])
    target.write_text(json.dumps(request(server)))
    (world.credd.user("u10") / "link.top").symlink_to(target)
    (world.credd.folder / "u90" / "cms.use").symlink_to(target)
    credmon = await world.credmon()
    served = [number for number in range(100) if world.use(f"u{number}", "cms").is_file()]
    assert [one for one in served if one != 90] == [one for one in range(100) if one % 10]
    assert json.loads(target.read_text()) == request(server), "root wrote through no link"
    assert "hvs." not in credmon.said()


@pytest.mark.skipif(not IS_ROOT, reason="links of somebody else take root to make")
async def test_a_users_folder_that_becomes_a_link_leads_root_nowhere(world: CondorWorld) -> None:
    """HTCondor's account may swap it at any time; nothing is written where it points."""
    server = await world.server()
    elsewhere = world.folder / "elsewhere"
    elsewhere.mkdir()
    world.credd.store("alice", "cms", request(server))
    credmon = await world.credmon()
    server.hangs = True
    world.credd.store("alice", "cms", request(server, "hvs.second"))
    await world.until(lambda: server.asked["hvs.second"])
    (world.credd.folder / "alice").rename(world.folder / "gone")
    (world.credd.folder / "alice").symlink_to(elsewhere)
    os.chown(world.credd.folder / "alice", CONDOR, CONDOR, follow_symlinks=False)
    (elsewhere / "cms.top").write_text(json.dumps(request(server)))
    server.hangs = False
    await world.until(lambda: "is a link that somebody else made" in credmon.said())
    world.credd.store("bob", "cms", request(server))
    await world.until(lambda: world.jti("bob", "cms"))
    assert [one.name for one in elsewhere.iterdir()] == ["cms.top"]


# Errors and ends


async def test_refusals_take_nothing_away_and_a_certain_end_does_in_time(
    world: CondorWorld,
) -> None:
    """A storm of "permission denied" leaves all as it was; an ended lease's file goes with its token."""
    server = await world.server(life_seconds=6.0)
    world.credd.store("alice", "denied", request(server, "hvs.denied"))
    world.credd.store("alice", "ended", request(server, "cb_ended"))
    credmon = await world.credmon()
    server.refused = {"hvs.denied", "cb_ended"}
    await world.until(lambda: world.said_of(credmon, "alice", "denied"))
    denied = world.use("alice", "denied").read_bytes()
    await world.until(lambda: world.said_of(credmon, "alice", "ended"))
    assert world.use("alice", "ended").exists(), "its token is still good"

    def is_gone() -> bool:
        credmon.hang_up()
        return not world.use("alice", "ended").exists()

    await world.until(is_gone, 40)
    # The line is written right after the file is gone.
    await world.until(lambda: "HTCondor will hold its jobs" in credmon.said())
    assert world.use("alice", "denied").read_bytes() == denied
    tops = {one.name for one in (world.credd.folder / "alice").glob("*.top")}
    assert tops == {"denied.top", "ended.top"}


async def test_a_server_in_trouble_costs_no_file(world: CondorWorld) -> None:
    """Each of 503, a redirect and a closed port keeps what is there, across a restart too."""
    server = await world.server()
    world.credd.store("alice", "cms", request(server))
    credmon = await world.credmon()
    content = world.use("alice", "cms").read_bytes()
    await credmon.stop()
    server.troubled = True
    credmon = await world.credmon()
    assert server.asked["hvs.alice"] == 1, "what is fresh is not fetched again"
    other = await world.server(redirects=server.url())
    world.credd.store("alice", "cms", request(other, "hvs.other"))
    await world.until(lambda: other.asked["hvs.other"])
    await world.until(lambda: world.said_of(credmon, "alice", "cms"))
    await other.stop()
    credmon.hang_up()
    assert server.asked["hvs.other"] == 0, "a redirect is not followed"
    assert world.use("alice", "cms").read_bytes() == content


async def test_a_server_that_never_answers_delays_no_other(world: CondorWorld) -> None:
    """Fifty credentials of a black hole wait while everybody else's come at once, on ::1 too."""
    hole, good = await world.server(hangs=True), await world.server()
    six = await world.server(host="::1")
    for number in range(50):
        world.credd.store(f"u{number}", "dark", request(hole, f"hvs.{number}"))
        world.credd.store(f"u{number}", "cms", request(good, f"hvs.{number}"))
    world.credd.store("alice", "six", request(six, "cb_six"))
    begun = CLOCK.elapsed()
    await world.credmon(ready=False)
    await world.until(lambda: all(world.use(f"u{n}", "cms").exists() for n in range(50)), 12)
    await world.until(lambda: world.use("alice", "six").exists())
    assert CLOCK.elapsed() - begun < 12


async def test_an_untrusted_host_is_not_asked_whatever_was_stored(world: CondorWorld) -> None:
    """Also when the list has become shorter since; the delivered token stays."""
    server, other = await world.server(), await world.server()
    world.credd.store("alice", "cms", request(server))
    credmon = await world.credmon()
    content = world.use("alice", "cms").read_bytes()
    world.trust(other)
    credmon.hang_up()
    await world.until(lambda: "which is not trusted" in credmon.said())
    world.credd.store("alice", "cms", request(server, "hvs.second"))
    world.credd.store("alice", "cms_2", request(other))
    await world.until(lambda: world.jti("alice", "cms_2"))
    assert server.asked["hvs.second"] == 0
    assert world.use("alice", "cms").read_bytes() == content


async def test_what_ends_soon_is_an_alarm_in_log_and_list(world: CondorWorld) -> None:
    """Below ten minutes; the exit code is what a monitoring system expects."""
    server = await world.server(life_seconds=500.0)
    world.credd.store("alice", "cms", request(server))
    credmon = await world.credmon()
    listed = world.listed()
    assert listed.returncode == 1
    assert listed.stdout.startswith("WARNING  alice/cms  vault https://localhost")

    def is_alarmed() -> bool:
        credmon.hang_up()
        return "ALARM" in credmon.said()

    await world.until(is_alarmed)
    (shown,) = json.loads(world.listed("--json").stdout)
    assert shown["verdict"] == "warning"
    assert 400 < shown["seconds_left"] <= 500


# The daemon


async def test_it_starts_and_stops_in_htcondors_order(world: CondorWorld) -> None:
    """The pid can be signalled as soon as it is there; completion is said after the first pass."""
    server = await world.server()
    world.credd.store("alice", "cms", request(server))
    (world.credd.folder / "CREDMON_COMPLETE").touch()
    (world.credd.folder / "pid").write_text("1")
    complete = world.credd.folder / "CREDMON_COMPLETE"
    server.hangs = True
    credmon = await world.credmon(ready=False)
    pid = world.credd.folder / "pid"
    await world.until(lambda: pid.read_text().strip() == str(credmon.pid))
    assert not complete.exists()
    os.kill(credmon.pid, signal.SIGHUP)
    server.hangs = False
    await credmon.stop()
    assert not pid.exists()
    credmon = await world.credmon()
    assert complete.exists()
    assert world.jti("alice", "cms")
    assert await credmon.stop() < 2
    assert not pid.exists()
    assert "stopped" in credmon.said()


async def test_a_thousand_signals_in_a_second_are_few_looks(world: CondorWorld) -> None:
    """How many, `tests/unit/edge/condor/test_credmon.py` counts; here nothing else suffers."""
    server = await world.server()
    world.credd.store("alice", "cms", request(server))
    credmon = await world.credmon()
    before = credmon.cpu_seconds()
    for _ in range(1000):
        credmon.hang_up()
    world.credd.store("alice", "dune", request(server))
    await world.until(lambda: world.jti("alice", "dune"))
    await CLOCK.sleep(2.5)
    assert credmon.cpu_seconds() - before < 2
    assert server.asked["hvs.alice"] == 2
    assert await credmon.stop() < 2


@pytest.mark.parametrize("unset", ["SEC_CREDENTIAL_DIRECTORY_OAUTH", "CREDMON_OAUTH_LOG",
                                   "TRUSTED_VAULT_HOSTS", "TRUST_CREDENTIAL_DIRECTORY"])  # fmt: skip
async def test_each_setting_may_be_unset_but_the_folder(world: CondorWorld, unset: str) -> None:
    """Without the folder it ends with 99: condor_master does not try again what cannot work."""
    server = await world.server()
    world.credd.store("alice", "cms", request(server))
    world.configure(**{unset: None})
    if unset == "SEC_CREDENTIAL_DIRECTORY_OAUTH":
        credmon = await world.credmon("--log-file", str(world.log), ready=False)
        assert await credmon.ended() == NEVER_AGAIN
        assert "SEC_CREDENTIAL_DIRECTORY_OAUTH" in credmon.said()
        assert world.listed().returncode == 3
        return
    credmon = await world.credmon(log="log")
    assert (unset == "TRUSTED_VAULT_HOSTS") == (not world.jti("alice", "cms"))
    assert await credmon.stop() < 10


async def test_only_settings_end_it_for_good(world: CondorWorld) -> None:
    """A folder or log that is not there yet is tried again by condor_master; a wrong name is not."""
    missing = await world.credmon("--cred-dir", str(world.folder / "later"), ready=False)
    assert await missing.ended() == 1
    no_log = await world.credmon("--log-file", str(world.folder / "no" / "log"), ready=False)
    assert await no_log.ended() == CANNOT_LOG
    world.configure(VAULT_CREDMON_PROVIDER_NAMES="dune_production")
    wrong = await world.credmon("--log-file", str(world.log), ready=False)
    assert await wrong.ended() == NEVER_AGAIN
    assert "dune_production" in wrong.said()


async def test_a_folder_that_is_open_to_others_is_refused(world: CondorWorld) -> None:
    """As HTCondor's own credmon refuses it; root 2770 is what it must be."""
    world.credd.folder.chmod(0o2771)
    credmon = await world.credmon(ready=False)
    assert await credmon.ended() == 1
    assert "chmod 2770" in credmon.said()
    assert not (world.credd.folder / "pid").exists()


async def test_the_log_follows_a_rotation(world: CondorWorld) -> None:
    """A signal has it opened anew."""
    credmon = await world.credmon()
    world.log.rename(world.log.with_suffix(".old"))
    world.credd.store("alice", "bad", b"{")
    credmon.hang_up()
    await world.until(world.log.exists)
    world.credd.store("alice", "worse", b"{")
    await world.until(lambda: "worse" in world.log.read_text())


async def test_two_credmons_side_by_side_touch_only_their_own_files(world: CondorWorld) -> None:
    """The one alongside leaves pid and completion to the other, and what is not named to it."""
    server = await world.server()
    for name in ("cms", "dune", "dune_ro"):
        world.credd.store("alice", name, request(server, f"hvs.{name}"))
    first = await world.credmon("--providers", "cms", log="first")
    pid = world.credd.folder / "pid"
    assert world.jti("alice", "cms")
    assert not world.jti("alice", "dune")
    beside = await world.credmon("--alongside", "--providers", "dune,other", log="beside")
    assert world.jti("alice", "dune")
    assert world.jti("alice", "dune_ro")
    assert pid.read_text().strip() == str(first.pid)
    (world.credd.folder / "CREDMON_COMPLETE").unlink()
    await beside.stop()
    assert pid.exists()
    assert not (world.credd.folder / "CREDMON_COMPLETE").exists()
    assert server.asked == {"hvs.cms": 1, "hvs.dune": 1, "hvs.dune_ro": 1}
    nameless = await world.credmon("--alongside", log="nameless", ready=False)
    assert await nameless.ended() == NEVER_AGAIN


async def test_readers_never_see_less_than_a_token(world: CondorWorld) -> None:
    """A shadow in a tight loop over fifty replacements sees a whole private file each time."""
    server = await world.server()
    world.credd.store("alice", "cms", request(server, "hvs.0"))
    await world.credmon()
    stop, wrong, reads = threading.Event(), [], [0]

    def read() -> None:
        while not stop.is_set():
            try:
                world.credd.as_shadow_reads("alice", "cms", trusted=False)
            except (AssertionError, OSError) as error:
                wrong.append(repr(error))
            reads[0] += 1

    reader = asyncio.to_thread(read)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reader)
        for number in range(1, 51):
            world.credd.store("alice", "cms", request(server, f"hvs.{number}"))
            await world.until(partial(is_token_of, world, f"hvs.{number}-"))
        stop.set()
        await task
    assert wrong == []
    assert reads[0] > 50
