"""Whatever is done to the trail's lines is found and named; what brokers do themselves is not."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import LocalFileUnfit
from credbroker.telemetry.audit import FIRST_LINK, AuditTrail
from credbroker.telemetry.trail_files import LONGEST_LINE_BYTES
from credbroker.telemetry.verifying import MOST_FAULTS, Chain, loose_ends, read_chain
from tests.fakes.clock import FakeClock


async def written(folder: Path, count: int = 6, replica: str = "r1") -> Path:
    """Return a trail of so many more lines."""
    trail = AuditTrail(folder, replica, FakeClock())
    for number in range(count):
        await trail.record("mint", jti=f"j-{number}")
    trail.close()
    return folder / f"audit-{replica}.jsonl"


def lines_of(file: Path) -> list[bytes]:
    """Return the lines with their newlines."""
    return file.read_bytes().splitlines(keepends=True)


def said(file: Path) -> list[str]:
    """Return what is wrong with one file alone."""
    chain = read_chain(file)
    return [f"{one.line}: {one.sentence}" for one in [*chain.faults, *loose_ends([chain])]]


async def test_a_trail_as_it_was_written_has_no_fault(tmp_path: Path) -> None:
    """Also one that a broker went on with after a restart, and one without a line."""
    file = await written(tmp_path)
    await written(tmp_path, 3)
    chain = read_chain(file)
    assert (chain.lines, chain.begins_after, chain.faults) == (9, FIRST_LINK, [])
    empty = tmp_path / "audit-empty.jsonl"
    empty.touch()
    assert read_chain(empty) == Chain(empty)
    assert loose_ends([chain, read_chain(empty)]) == []


async def test_a_changed_line_is_named(tmp_path: Path) -> None:
    """By the first line that vouches for what stood there."""
    file = await written(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"j-2"', b'"j-9"'))
    assert said(file) == [
        "4: this line does not follow line 3: that was changed, or lines between are missing"
    ]


async def test_cut_lines_are_named(tmp_path: Path) -> None:
    """In the middle, and at the beginning."""
    file = await written(tmp_path)
    lines = lines_of(file)
    file.write_bytes(b"".join(lines[:2] + lines[4:]))
    assert said(file) == [
        "3: this line does not follow line 2: that was changed, or lines between are missing"
    ]
    file.write_bytes(b"".join(lines[1:]))
    assert said(file) == ["1: it goes on after lines that are in none of these files"]


async def test_a_line_that_was_put_in_is_named_itself(tmp_path: Path) -> None:
    """Though it names the line before it as a true one would."""
    file = await written(tmp_path)
    lines = lines_of(file)
    link = lines[3].rpartition(b'"previous":"')[2]
    lines.insert(3, b'{"time":"2026-06-01T12:00:00Z","event":"mint","previous":"' + link)
    file.write_bytes(b"".join(lines))
    assert said(file) == ["4: this line was put in: line 5 follows line 3"]


async def test_what_is_no_line_of_the_trail_is_named(tmp_path: Path) -> None:
    """No JSON, not UTF-8, nothing at all, or far too long."""
    file = await written(tmp_path, 2)
    good = file.read_bytes()
    for rubbish in (b"{}\n", b"\xff\xfe\n", b"\n", b'{"previous":1}\n'):
        file.write_bytes(good + rubbish)
        assert said(file) == ["3: this is no line of the trail"]
    file.write_bytes(good + b"x" * (LONGEST_LINE_BYTES + 1) + b"\n")
    assert said(file)[0] == "3: this line is longer than any of the trail"


async def test_half_a_line_at_the_end_is_no_fault(tmp_path: Path) -> None:
    """It is being written, or a broker died over it; cut off anywhere."""
    file = await written(tmp_path, 3)
    whole = file.read_bytes()
    last = len(lines_of(file)[-1])
    for cut in range(1, last):
        file.write_bytes(whole[:-cut])
        chain = read_chain(file)
        assert (chain.lines, chain.is_cut_short, chain.faults) == (2, True, [])


async def test_rotated_files_go_on(tmp_path: Path) -> None:
    """In any order, packed or not; a missing one between them is named."""
    file = await written(tmp_path, 9)
    lines = lines_of(file)
    first, second = tmp_path / "audit-r1.jsonl.2.gz", tmp_path / "audit-r1.jsonl.1"
    first.write_bytes(gzip.compress(b"".join(lines[:3])))
    second.write_bytes(b"".join(lines[3:6]))
    file.write_bytes(b"".join(lines[6:]))
    chains = [read_chain(one) for one in (file, first, second)]
    assert [fault for chain in chains for fault in chain.faults] == []
    assert loose_ends(chains) == []
    (fault,) = loose_ends(chains[:2])
    assert (fault.file, fault.line) == (file, 1)


async def test_two_files_that_go_on_from_one_line_are_told(tmp_path: Path) -> None:
    """One of them is not the broker's."""
    file = await written(tmp_path, 4)
    lines = lines_of(file)
    before, twin = tmp_path / "audit-r1.jsonl.1", tmp_path / "audit-r1.jsonl.twin"
    before.write_bytes(b"".join(lines[:2]))
    for one in (file, twin):
        one.write_bytes(b"".join(lines[2:]))
    (fault,) = loose_ends([read_chain(one) for one in (before, file, twin)])
    assert str(fault) == f"{twin}:1: it goes on after the same line as {file}"


async def test_a_packed_file_that_was_cut_is_a_fault_after_its_good_lines(tmp_path: Path) -> None:
    """With nothing in it that can be read, it is an error."""
    file = await written(tmp_path, 400)
    packed = tmp_path / "audit-r1.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes())[:-9])
    (fault,) = read_chain(packed).faults
    assert (fault.line, "was cut" in fault.sentence) == (401, True)
    packed.write_bytes(b"")
    assert read_chain(packed).lines == 0
    packed.write_bytes(b"no gzip")
    with pytest.raises(LocalFileUnfit):
        read_chain(packed)


def test_a_file_of_rubbish_is_not_read_to_its_end(tmp_path: Path) -> None:
    """So many faults are enough; no hash is told as that of its last line."""
    file = tmp_path / "audit-r1.jsonl"
    file.write_bytes(b"rubbish\n" * (MOST_FAULTS + 10))
    chain = read_chain(file)
    assert (len(chain.faults), chain.ends_with) == (MOST_FAULTS, None)


TRAIL: list[bytes] = []


@given(st.data())
async def test_no_change_of_any_byte_goes_unseen(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """But in the last line, for which none vouches yet."""
    folder = tmp_path_factory.getbasetemp() / "bytes"
    file = folder / "audit-r1.jsonl"
    if not TRAIL:
        folder.mkdir()
        TRAIL.extend(lines_of(await written(folder)))
    body, last = b"".join(TRAIL[:-1]), TRAIL[-1]
    at = data.draw(st.integers(0, len(body) - 1))
    to = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[at]))
    file.write_bytes(body[:at] + bytes([to]) + body[at + 1 :] + last)
    with suppress(LocalFileUnfit):
        assert said(file)
