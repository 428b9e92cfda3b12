"""The measuring harness adds up rightly, and its page says what its results say."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench import __main__ as program
from bench import capacity, explained, machine, names, pace, results, rounds, writing, wrk
from bench.asking import Question, ask_here
from bench.results import Claim, Figure
from bench.rounds import Rounds
from credbroker.demo.certificates import make_authority
from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results" / "latest.json"

FASTER = Claim("refreshes", "deeds", "at least", 0.7, "per second", "The peer is a stone.")
SMALLER = Claim("size", "bytes", "at most", 1.0, "bytes", "The limit is a bucket.")
THREE = Rounds((80.0, 60.0, 90.0), (100.0, 100.0, 90.0))


def test_the_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """Not the ratio of medians: a round in which the machine was slow counts for both sides."""
    assert THREE.ratios == (0.8, 0.6, 1.0)
    assert THREE.ratio == 0.8
    assert THREE.spread == (0.6, 1.0)


async def test_sides_take_turns_and_every_second_round_runs_backwards() -> None:
    """So that a machine that gets slower and slower is hard on neither."""
    order: list[str] = []

    def side(name: str) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            order.append(name)
            return len(order)

        return run

    taken = await rounds.alternate({name: side(name) for name in "abc"}, 2)
    assert "".join(order) == "abccba"
    assert taken == {"a": [1, 6], "b": [2, 5], "c": [3, 4]}


@pytest.mark.parametrize(
    ("claim", "ours", "held"),
    [(FASTER, 0.7, True), (FASTER, 0.69, False), (SMALLER, 1.0, True), (SMALLER, 1.01, False)],
)
def test_a_bar_is_held_on_the_right_side(claim: Claim, ours: float, held: bool) -> None:
    """At least is a floor, at most a ceiling; on the line counts as held."""
    assert results.figure(claim, Rounds((ours,), (1.0,))).held is held


def test_a_missed_bar_stays_and_says_so() -> None:
    """The page shows it in bold, with the reason or the lack of one."""
    missed = results.figure(FASTER, Rounds((1.0,), (2.0,)), {"seconds": 3.14159})
    assert not missed.held
    page = writing.page([missed])
    assert "| deeds | 1 | 2 | per second | 0.5 (0.5 to 0.5) | at least 0.7 | **no** |" in page
    assert "Missed: not explained yet." in page
    assert "Beside it: seconds: 3.142." in page


def test_figures_come_back_from_their_file(tmp_path: Path) -> None:
    """A scenario taken anew replaces its old figures and leaves the others alone."""
    old = [results.figure(FASTER, THREE), results.figure(SMALLER, THREE)]
    results.write(tmp_path / "all.json", old)
    assert results.read(tmp_path / "all.json") == old
    anew = results.figure(FASTER, Rounds((1.0,), (1.0,)))
    assert results.merged(old, [anew], ["refreshes"]) == [old[1], anew]
    assert results.read(tmp_path / "none.json") == []


def test_launches_are_joined_round_by_round() -> None:
    """A figure is held by the rounds of all of them; what stands beside it is the median's."""
    again = Rounds((50.0, 70.0), (100.0, 100.0))
    launches = [
        [results.figure(FASTER, rounds, {"CPU": cpu})]
        for rounds, cpu in ((THREE, 1.0), (again, 4.0))
    ]
    [both] = results.joined(launches)
    assert both.rounds_ours == (80.0, 60.0, 90.0, 50.0, 70.0)
    assert (both.ratio, both.held, both.spread) == (0.7, True, (0.5, 1.0))
    assert both.beside == {"CPU": 2.5}


def test_what_was_taken_is_kept_when_a_later_scenario_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour's figures are not lost to the last minute."""
    file, made = tmp_path / "results.json", results.figure(FASTER, THREE)

    async def take(_folder: Path, _quick: bool) -> list[Figure]:
        return [made]

    async def fail(_folder: Path, _quick: bool) -> list[Figure]:
        raise OSError

    monkeypatch.setattr(program, "configure", lambda _level: None)
    monkeypatch.setattr(
        program, "TAKE", dict.fromkeys(explained.SCENARIOS, fail) | {"refreshes": take}
    )
    monkeypatch.setattr("sys.argv", ["bench", "--results", str(file)])
    with pytest.raises(OSError):
        program.main()
    assert [one.name for one in results.read(file)] == [made.name]


async def test_a_pace_counts_what_was_done_and_by_whom() -> None:
    """What was begun when time ran out is finished and counted; CPU time is the program's own."""
    done = 0

    async def deed() -> None:
        nonlocal done
        done += 1

    taken = await pace.keep_at_it([deed, deed], 0.0, {"me": os.getpid()})
    assert taken.done == done
    assert taken.cpu["me"] >= 0


async def test_asking_keeps_every_connection_busy_and_counts_whole_answers(tmp_path: Path) -> None:
    """However an answer is cut on its way."""
    authority, asked = make_authority(tmp_path, SystemClock()), 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                asked += 1
                for part in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\n\r\nab", b"cd"):
                    writer.write(part)
                    await writer.drain()
        writer.close()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("server", tmp_path))
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    question = Question(
        port=server.sockets[0].getsockname()[1],
        ca_file=str(authority.ca_file),
        requests=["GET / HTTP/1.1\r\n\r\n"],
        at_once=3,
        seconds=0.05,
        programs={"server": os.getpid()},
    )
    seen = await asyncio.to_thread(ask_here, question)
    server.close()
    assert set(seen.statuses) == {"200"}
    # Twice each before anything counts, and what is still under way at the end.
    assert seen.done + 2 * 3 <= asked <= seen.done + 3 * 3
    assert seen.p50_ms <= seen.p99_ms
    assert set(seen.cpu) == {"server", "asking"}


def test_the_machine_is_named() -> None:
    """A figure without it would say nothing."""
    here = machine.this_machine()
    assert here.cores >= 1
    assert here.memory_gib > 0
    assert machine.resident_bytes(os.getpid()) > 1 << 20
    assert here.python.endswith(("(the system's)", "(not the system's)"))


def test_the_cores_busy_time_is_no_more_than_there_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of the cores that are asked about, and not while they waited, for a disk or for work."""
    counted = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 1 20 500 60 3 4 2 77 0\ncpu1 9 9 9 9 9 9 9 9 9 9\nintr 5\n"
    monkeypatch.setattr(Path, "read_text", lambda _path: counted)
    assert machine.busy_seconds([0]) == 130 / os.sysconf("SC_CLK_TCK")


def test_the_page_is_what_the_results_say() -> None:
    """Nobody types a figure: the committed page is written from the committed results."""
    figures = results.read(RESULTS)
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert page == writing.page(figures)
    assert {one.scenario for one in figures} == set(explained.SCENARIOS)


def test_cores_are_worked_out_from_what_one_core_did() -> None:
    """Rounded up, since there is no half a core; sections without such figures have no table."""
    against = results.Claim("signing", names.RS256_BATCH, "at least", 0.9, "per second", "It.")
    seen = [
        results.figure(replace(against, name=name), Rounds((rate,), (1.0,)))
        for name, rate in ((names.RS256_BATCH, 900.0), (names.ES256_BATCH, 10_000.0))
    ]
    page = list(capacity.lines(seen))
    assert "| RS256, in batches | 900 | 2 | 6 | 12 |" in page
    assert "| ES256, in batches | 10,000 | 1 | 1 | 1 |" in page
    assert list(capacity.lines([results.figure(FASTER, THREE)])) == []


def test_a_missing_program_is_named_with_what_to_install() -> None:
    """Then a scenario is left out, and its old figures stay."""
    with pytest.raises(wrk.ProgramMissing, match="apt install no-such-program"):
        wrk.check_there("sh", "no-such-program")


def test_a_script_for_wrk_shows_each_refresh_token_once() -> None:
    """What is asked alike every time needs no code at all; a refresh that rotates does."""
    headers = {"Authorization": "Basic abc"}
    alike = wrk.Request("http://127.0.0.1/token", headers, "a=b").script()
    assert 'wrk.body = "a=b"' in alike
    assert 'wrk.headers["Authorization"] = "Basic abc"' in alike
    assert "function request" not in alike
    chained = wrk.Request("http://127.0.0.1/token", headers, "a=b&c=", ("one", "two")).script()
    assert 'shown, first, last = { "one", "two" }, 1, 2' in chained


def test_every_missed_bar_is_explained() -> None:
    """And nothing is explained that is not there."""
    figures: list[Figure] = results.read(RESULTS)
    missed = {one.name for one in figures if not one.held}
    assert missed <= set(explained.EXPLAINED)
    assert set(explained.EXPLAINED) <= {one.name for one in figures}
