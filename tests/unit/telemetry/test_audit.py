"""The trail is whole after any crash, full disk or cancellation, and shows what was changed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credbroker.domain.errors import AuditUnavailable, BadSettings
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.telemetry.audit import FIRST_LINK, GATHERING_TURNS, LONGEST_TEXT, AuditTrail
from credbroker.telemetry.canaries import Canaries
from tests.fakes.clock import FakeClock, turns


@contextlib.contextmanager
def trail(folder: Path) -> Iterator[AuditTrail]:
    """Open the trail of replica r1, and close it."""
    opened = AuditTrail(folder, "r1", FakeClock())
    try:
        yield opened
    finally:
        opened.close()


def whole_chain(folder: Path) -> list[dict[str, Any]]:
    """Return the trail's lines, each checked against the one before it."""
    link, found = FIRST_LINK, []
    for line in (folder / "audit-r1.jsonl").read_bytes().splitlines():
        found.append(json.loads(line))
        assert found[-1]["previous"] == link
        link = hashlib.sha256(line).hexdigest()
    return found


async def test_a_line_says_what_happened(tmp_path: Path) -> None:
    """Without what is not known; times and scopes as text."""
    with trail(tmp_path) as opened:
        scope = ScopeSet.parse("openid fts")
        await opened.record(
            "mint", jti="j-1", job=None, scope=scope, audience=["a"], count=5, ok=True
        )
    (line,) = whole_chain(tmp_path)
    assert line == {
        "time": "2026-06-01T12:00:00.000000Z",
        "event": "mint",
        "replica": "r1",
        "jti": "j-1",
        "scope": "openid fts",
        "audience": ["a"],
        "count": 5,
        "ok": True,
        "previous": FIRST_LINK,
    }


async def test_many_lines_go_out_with_one_flush_and_what_they_share_in_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a link of the chain like any other."""
    flushes: list[int] = []
    with trail(tmp_path) as opened:
        monkeypatch.setattr(os, "fsync", flushes.append)
        await opened.record_all("sign", [{"jti": f"j-{n}"} for n in range(256)], client_id="rucio")
        await opened.record_all("sign", [])
    lines = whole_chain(tmp_path)
    assert [line["jti"] for line in lines] == [f"j-{n}" for n in range(256)]
    assert {(line["event"], line["client_id"], line["time"]) for line in lines} == {
        ("sign", "rucio", "2026-06-01T12:00:00.000000Z")
    }
    assert len(flushes) <= 2


async def test_lines_that_say_nothing_or_more_than_texts_are_links_too(tmp_path: Path) -> None:
    """What has no value is left out, and no line is changed for whoever gave it."""
    given: list[dict[str, object]] = [{}, {"jti": "j-1"}, {"jti": "j-2", "form": None, "n": 5}]
    with trail(tmp_path) as opened:
        await opened.record_all("sign", [{}])
        await opened.record_all("sign", given)
        await opened.record_all("sign", given[1:2])
    assert given == [{}, {"jti": "j-1"}, {"jti": "j-2", "form": None, "n": 5}]
    usual = {"time", "event", "replica", "previous"}
    assert [set(line) - usual for line in whole_chain(tmp_path)] == [
        set(), set(), {"jti"}, {"jti", "n"}, {"jti"},
    ]  # fmt: skip


async def test_a_secret_in_one_of_many_lines_is_cut_out_and_the_others_stay(tmp_path: Path) -> None:
    """Though they are looked at together; so is what is too long for a line."""
    value = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.MEQCIH9zYW1wbGVzaWduYXR1cmU"
    scopes = ["storage.read:/a=1", f"storage.read:/{value}", "x" * 5000, "storage.read:/b"]
    with trail(tmp_path) as opened:
        await opened.record_all("sign", [{"scope": scope} for scope in scopes])
    assert [line["scope"] for line in whole_chain(tmp_path)] == [
        "storage.read:/a=1", "storage.read:/[redacted]", "x" * 4095 + "…", "storage.read:/b",
    ]  # fmt: skip


async def test_many_lines_that_cannot_be_written_let_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait, and go out in their order once there is room."""
    with trail(tmp_path) as opened:
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", _no_room)
            with pytest.raises(AuditUnavailable):
                await opened.record_all("sign", [{"jti": "j-1"}, {"jti": "j-2"}])
        await opened.record("x")
    assert [line.get("jti") for line in whole_chain(tmp_path)] == ["j-1", "j-2", None]


def _no_room(_file: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_no_secret_gets_into_the_trail(tmp_path: Path, canaries: Canaries) -> None:
    """Wrapped or not, alone or in a list."""
    value = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.MEQCIH9zYW1wbGVzaWduYXR1cmU"
    canaries.plant("access token", value)
    with trail(tmp_path) as opened:
        await opened.record(
            "x", a=Secret("access token", value), b=value, c=[value], d={"e": value}
        )
    canaries.search_folder(tmp_path)


async def test_no_secret_gets_in_however_often_it_comes(tmp_path: Path, canaries: Canaries) -> None:
    """Short texts are remembered, as cleaned."""
    value = "cb_IFCb2JILbIG3hA73xYzQ.sAmPlEsEcReTsAmPlEsEcReT"
    canaries.plant("lease token", value)
    with trail(tmp_path) as opened:
        for _ in range(3):
            await opened.record("x", why=f"shown: {value}")
    assert {line["why"] for line in whole_chain(tmp_path)} == {"shown: [redacted]"}
    canaries.search_folder(tmp_path)


@given(st.text(st.characters(codec=None), max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_text_makes_a_line(tmp_path: Path, text: str) -> None:
    """A path may hold bytes that are no UTF-8, which Python keeps as lone surrogates."""

    async def write() -> None:
        with trail(tmp_path) as opened:
            await opened.record("x", path=text + "\udc80")

    (tmp_path / "audit-r1.jsonl").unlink(missing_ok=True)
    asyncio.run(write())
    (line,) = whole_chain(tmp_path)
    assert line["path"].endswith("\\udc80")


_FIRST, _LAST = map(datetime.datetime.fromisoformat, ("1900-01-01", "2900-01-01"))
_moments = st.datetimes(_FIRST, _LAST, timezones=st.timezones())
_whole_seconds = _moments.map(lambda at: at.replace(microsecond=0))


@given(st.lists(_moments | _whole_seconds, min_size=20, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_a_time_is_written_in_utc_to_the_microsecond(
    tmp_path: Path, moments: list[datetime.datetime]
) -> None:
    """Wherever it was read, and also where it is a whole second."""

    async def write() -> None:
        with trail(tmp_path) as opened:
            await opened.record_all("x", [{"at": at} for at in moments])

    (tmp_path / "audit-r1.jsonl").unlink(missing_ok=True)
    asyncio.run(write())
    assert [line["at"] for line in whole_chain(tmp_path)] == [
        at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for at in moments
    ]


async def test_the_file_is_private(tmp_path: Path) -> None:
    """From its first moment on, whatever the umask."""
    before = os.umask(0)
    try:
        with trail(tmp_path):
            mode = (tmp_path / "audit-r1.jsonl").stat().st_mode
    finally:
        os.umask(before)
    assert stat.S_IMODE(mode) == 0o600


async def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The new program's first line names the old one's last."""
    for number in range(3):
        with trail(tmp_path) as opened:
            await opened.record("x", number=number)
            await opened.record("y")
    assert [line.get("number") for line in whole_chain(tmp_path)] == [0, None, 1, None, 2, None]


@given(st.integers(0, 400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_crash_left_half_written_is_cut(tmp_path: Path, kept: int) -> None:
    """At whatever byte it stopped."""

    async def write(count: int) -> None:
        with trail(tmp_path) as opened:
            for number in range(count):
                await opened.record("x", number=number)

    file = tmp_path / "audit-r1.jsonl"
    file.unlink(missing_ok=True)
    asyncio.run(write(2))
    content = file.read_bytes()[:kept]
    file.write_bytes(content)
    asyncio.run(write(1))
    assert len(whole_chain(tmp_path)) == content.count(b"\n") + 1


async def test_the_chain_goes_on_after_a_line_of_any_length(tmp_path: Path) -> None:
    """Also where what a crash left half-written is longer than one look back."""
    with trail(tmp_path) as opened:
        await opened.record("x", audience=["y" * LONGEST_TEXT] * 50)
    with (tmp_path / "audit-r1.jsonl").open("ab") as file:
        file.write(b"z" * 200_000)
    with trail(tmp_path) as opened:
        await opened.record("after")
    assert [line["event"] for line in whole_chain(tmp_path)] == ["x", "after"]


async def test_a_long_text_is_cut(tmp_path: Path, canaries: Canaries) -> None:
    """In a field or in a list; a secret that stands across the cut goes whole."""
    value = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.MEQCIH9zYW1wbGVzaWduYXR1cmU"
    canaries.plant("access token", value)
    with trail(tmp_path) as opened:
        why = " " * (LONGEST_TEXT - 40) + value
        await opened.record("x", why=why, fits="y" * LONGEST_TEXT, audience=["z" * 60_000])
    (line,) = whole_chain(tmp_path)
    assert line["fits"] == "y" * LONGEST_TEXT
    assert line["audience"] == ["z" * (LONGEST_TEXT - 1) + "…"]
    assert len(line["why"]) <= LONGEST_TEXT
    canaries.search_folder(tmp_path)


async def test_a_changed_missing_or_added_line_shows(tmp_path: Path) -> None:
    """By the line after it."""
    with trail(tmp_path) as opened:
        for number in range(3):
            await opened.record("x", number=number)
    file = tmp_path / "audit-r1.jsonl"
    first, second, third = file.read_bytes().splitlines(keepends=True)
    for forged in (
        [first, second.replace(b'"number":1', b'"number":9'), third],
        [first, third],
        [first, second, second, third],
        [second, third],
    ):
        file.write_bytes(b"".join(forged))
        with pytest.raises(AssertionError):
            whole_chain(tmp_path)


class Disk:
    """Stands in for the disk's calls: counts flushes, fails when told to, holds when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushes = 0
        self.room = 10**9
        self.broken = False
        self.free = threading.Event()
        self.free.set()
        self._write, self._fsync = os.write, os.fsync
        monkeypatch.setattr("credbroker.telemetry.audit.os.write", self.write)
        monkeypatch.setattr("credbroker.telemetry.audit.os.fsync", self.fsync)

    def write(self, file: int, content: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = content[: self.room]
        self.room -= len(part)
        return self._write(file, part)

    def fsync(self, file: int) -> None:
        assert self.free.wait(10)
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.flushes += 1
        self._fsync(file)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk, in the test's hands."""
    return Disk(monkeypatch)


@pytest.mark.parametrize("room", [0, 1, 60, 120])
async def test_a_full_disk_refuses_and_tears_nothing(tmp_path: Path, disk: Disk, room: int) -> None:
    """Nothing is handed out meanwhile; once there is room the chain goes on whole."""
    with trail(tmp_path) as opened:
        await opened.record("before")
        disk.room = room
        for _ in range(2):
            with pytest.raises(AuditUnavailable, match="No space left on device"):
                await opened.record("refused")
        assert [line["event"] for line in whole_chain(tmp_path)] == ["before"]
        disk.room = 10**9
        await opened.record("after")
    events = [line["event"] for line in whole_chain(tmp_path)]
    assert events == ["before", "refused", "refused", "after"]


async def test_a_mended_disk_is_noticed_however_much_was_refused(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for it is bounded; the next caller finds it mended, and the chain is whole."""
    monkeypatch.setattr("credbroker.telemetry.audit.MOST_WAITING", 5)
    with trail(tmp_path) as opened:
        disk.room = 0
        for number in range(9):
            with pytest.raises(AuditUnavailable, match="No space left on device"):
                await opened.record("refused", number=number)
        disk.room = 10**9
        await opened.record("after")
    lines = whole_chain(tmp_path)
    assert [line.get("number") for line in lines] == [0, 1, 2, 3, 4, None]


async def test_other_work_in_threads_does_not_delay_a_line(tmp_path: Path) -> None:
    """Such as look-ups of names that nobody answers, which fill the loop's own threads."""
    free = threading.Event()
    loop = asyncio.get_running_loop()
    stuck = [loop.run_in_executor(None, free.wait, 10) for _ in range(64)]
    try:
        with trail(tmp_path) as opened:
            async with asyncio.timeout(5):
                await opened.record("x")
    finally:
        free.set()
        await asyncio.gather(*stuck)
    assert len(whole_chain(tmp_path)) == 1


async def test_a_disk_that_cannot_flush_refuses_too(tmp_path: Path, disk: Disk) -> None:
    """A line that may vanish with the power is not on disk."""
    with trail(tmp_path) as opened:
        disk.broken = True
        with pytest.raises(AuditUnavailable):
            await opened.record("refused")
        assert whole_chain(tmp_path) == []
        disk.broken = False
        await opened.record("after")
    assert len(whole_chain(tmp_path)) == 2


async def test_lines_that_come_together_share_a_flush(tmp_path: Path, disk: Disk) -> None:
    """A hundred callers cost two flushes, and each returns only when its line is on disk."""
    with trail(tmp_path) as opened:
        disk.free.clear()
        waiting = [asyncio.ensure_future(opened.record("x", number=n)) for n in range(100)]
        await asyncio.wait(waiting, timeout=0.02)
        assert not any(one.done() for one in waiting)
        disk.free.set()
        await asyncio.gather(*waiting)
    assert disk.flushes <= 2
    assert sorted(line["number"] for line in whole_chain(tmp_path)) == list(range(100))


async def test_a_flush_waits_a_turn_for_whoever_is_on_the_way(tmp_path: Path, disk: Disk) -> None:
    """Requests that came together reach the trail one turn of the loop after the other."""

    async def on_the_way(count: int) -> None:
        await turns(count)
        await opened.record("x", number=count)

    with trail(tmp_path) as opened:
        before = disk.flushes
        await asyncio.gather(*[on_the_way(count) for count in range(GATHERING_TURNS)])
        assert disk.flushes == before + 1
    assert len(whole_chain(tmp_path)) == GATHERING_TURNS


async def test_who_comes_while_a_flush_fails_gets_one_of_its_own(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with it the lines of those that were refused reach the disk."""
    began = threading.Event()

    def fail_once(_file: int) -> None:
        monkeypatch.setattr("credbroker.telemetry.audit.os.fsync", disk.fsync)
        began.set()
        assert disk.free.wait(10)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with trail(tmp_path) as opened:
        monkeypatch.setattr("credbroker.telemetry.audit.os.fsync", fail_once)
        disk.free.clear()
        refused = asyncio.ensure_future(opened.record("refused"))
        assert await asyncio.to_thread(began.wait, 10)
        late = asyncio.ensure_future(opened.record("late"))
        await asyncio.wait([late], timeout=0.02)
        disk.free.set()
        with pytest.raises(AuditUnavailable):
            await refused
        await late
    assert [line["event"] for line in whole_chain(tmp_path)] == ["refused", "late"]


async def test_callers_that_go_away_leave_a_whole_chain(tmp_path: Path, disk: Disk) -> None:
    """Cancelled in the middle of a flush, and while waiting for it."""
    with trail(tmp_path) as opened:
        disk.free.clear()
        waiting = [asyncio.ensure_future(opened.record("x", number=n)) for n in range(5)]
        await asyncio.wait(waiting, timeout=0.02)
        for one in waiting[:4]:
            one.cancel()
        disk.free.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [one.cancelled() for one in waiting] == [True] * 4 + [False]
        await opened.record("after")
    assert len(whole_chain(tmp_path)) == 6


async def test_a_caller_that_goes_away_from_a_full_disk_harms_nobody(
    tmp_path: Path, disk: Disk
) -> None:
    """Its refusal is heard by nobody; the next caller's line is written."""
    with trail(tmp_path) as opened:
        disk.free.clear()
        disk.broken = True
        gone = asyncio.ensure_future(opened.record("gone"))
        await asyncio.wait([gone], timeout=0.02)
        gone.cancel()
        disk.free.set()
        await asyncio.gather(gone, return_exceptions=True)
        with pytest.raises(AuditUnavailable):
            await opened.record("refused")
        disk.broken = False
        await opened.record("after")
    assert [line["event"] for line in whole_chain(tmp_path)] == ["gone", "refused", "after"]


def test_a_trail_that_cannot_be_opened_is_a_wrong_setting(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(BadSettings, match=r"audit-r1\.jsonl"):
        AuditTrail(tmp_path / "none", "r1", FakeClock())


def test_two_writers_of_one_file_are_refused(tmp_path: Path, clock: FakeClock) -> None:
    """They would break each other's chain; one after the other is fine."""
    first = AuditTrail(tmp_path, "one", clock)
    with pytest.raises(BadSettings, match="its own name"):
        AuditTrail(tmp_path, "one", clock)
    AuditTrail(tmp_path, "two", clock).close()
    first.close()
    AuditTrail(tmp_path, "one", clock).close()


async def test_a_trail_that_was_closed_lets_nothing_out(tmp_path: Path) -> None:
    """Who comes too late is told so, and does not wait for ever."""
    with trail(tmp_path) as opened:
        await opened.record("before")
    with pytest.raises(AuditUnavailable, match="nothing is given out"):
        await opened.record("after")
    assert [line["event"] for line in whole_chain(tmp_path)] == ["before"]


async def test_a_caller_that_goes_away_keeps_no_other_waiting(tmp_path: Path, disk: Disk) -> None:
    """Both lines are written, and who stayed hears of its own."""
    with trail(tmp_path) as opened:
        disk.free.clear()
        gone, stays = (asyncio.ensure_future(opened.record(name)) for name in ("gone", "stays"))
        await asyncio.wait([gone, stays], timeout=0.02)
        gone.cancel()
        disk.free.set()
        await stays
        with pytest.raises(asyncio.CancelledError):
            await gone
    assert [line["event"] for line in whole_chain(tmp_path)] == ["gone", "stays"]


async def test_a_line_says_for_which_request_it_was_written(tmp_path: Path) -> None:
    """Also where who writes it does not know, as of a refresh that a request began."""
    with trail(tmp_path) as opened:
        with structlog.contextvars.bound_contextvars(request_id="req-12345"):
            await opened.record("refresh_begun")
            await opened.record("mint", request_id="req-67890")
        await opened.record("refresh")
    told = [line.get("request_id") for line in whole_chain(tmp_path)]
    assert told == ["req-12345", "req-67890", None]


async def test_the_trail_says_for_how_long_a_line_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the disk has refused it, until it is there."""
    clock = FakeClock()
    opened = AuditTrail(tmp_path, "r1", clock)
    assert opened.lag_seconds() == 0.0
    seen: list[float] = []

    def full(_file: int) -> None:
        clock.advance(5.0)
        seen.append(opened.lag_seconds())
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(AuditUnavailable):
            await opened.record("mint")
    clock.advance(5.0)
    assert (seen, opened.lag_seconds()) == ([5.0], 10.0)
    await opened.record("mint")
    assert opened.lag_seconds() == 0.0
    opened.close()
