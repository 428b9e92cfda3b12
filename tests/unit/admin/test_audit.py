"""`credbroker audit` names what was tampered with, and follows what somebody asks about."""

from __future__ import annotations

import argparse
import io
import json
import shlex
from pathlib import Path

import pytest

from credbroker.__main__ import main
from credbroker.admin import audit
from credbroker.admin.commands import add_arguments as add_admin_arguments
from credbroker.admin.desk import Desk
from credbroker.domain.revocations import Kind
from credbroker.telemetry.audit import AuditTrail
from credbroker.telemetry.tracing import Followed
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.unit.config.place import right, write

LEASE = "l" * 22
ADA = {"issuer": "egi", "credkey": "ada", "role": "default"}


async def record(folder: Path, replica: str = "r1") -> Path:
    """Return a trail that tells of a job of Ada's."""
    trail = AuditTrail(folder, replica, FakeClock())
    await trail.record("login", lease="p" * 22, address="192.0.2.1", **ADA)
    await trail.record("lease_made", lease="p" * 22, child=LEASE, for_job="run 42", **ADA)
    await trail.record("mint", lease=LEASE, job="run 42", jti="t-1", request_id="req-1",
                       address="192.0.2.7", scope="storage.read:/", **ADA)  # fmt: skip
    trail.close()
    return folder / f"audit-{replica}.jsonl"


def ran(*words: str | Path) -> tuple[int, list[str], str]:
    """Run the command; return its exit status, the answer's lines, and what was said."""
    parser = argparse.ArgumentParser()
    audit.add_arguments(parser)
    desk = Desk(FakeClock(), FakeEntropy(), io.StringIO(), io.StringIO())
    status = audit.run(parser.parse_args([str(one) for one in words]), desk)
    assert isinstance(desk.out, io.StringIO)
    assert isinstance(desk.err, io.StringIO)
    return status, desk.out.getvalue().splitlines(), desk.err.getvalue()


async def test_a_sound_trail_is_said_to_be_whole(tmp_path: Path) -> None:
    """With the hash of its last line, to be noted elsewhere; the answer is empty, the status 0."""
    file = await record(tmp_path)
    status, answer, said = ran("verify", file)
    assert (status, answer) == (0, [])
    assert f"{file}: 3 lines, whole, ends with " in said


async def test_a_tampered_trail_is_named_by_file_and_line_and_ends_with_1(tmp_path: Path) -> None:
    """The others beside it are looked at all the same."""
    file, other = await record(tmp_path), await record(tmp_path, "r2")
    file.write_bytes(file.read_bytes().replace(b"run 42", b"run 43"))
    with other.open("ab") as half:
        half.write(b'{"time":')
    status, answer, said = ran("verify", tmp_path)
    assert status == audit.TAMPERED == 1
    assert answer[0].startswith(f"{file}:3: this line does not follow line 2: that was changed")
    assert f"{file}: 3 lines, not as it was written" in said
    assert f"{other}: 3 lines, whole" in said
    assert "half a line follows" in said


async def test_a_trace_is_a_table_and_ends_with_the_command_that_contains_it(
    tmp_path: Path,
) -> None:
    """With what needs quotes in quotes."""
    await record(tmp_path)
    status, answer, said = ran("trace", "--job", "run 42", tmp_path)
    assert status == 0
    assert [line.split()[1] for line in answer] == ["EVENT", "login", "lease_made", "mint"]
    assert answer[2].split()[2:7] == ["egi/ada", "run", "42", LEASE, "of"]
    assert answer[-1].endswith("t-1                     192.0.2.7        storage.read:/")
    assert "Tokens: 1: t-1" in said
    assert "  credbroker admin contain job 'run 42'\n" in said


async def test_a_trace_of_a_token_or_a_request_is_contained_by_the_lease_that_asked(
    tmp_path: Path,
) -> None:
    """A token also by its jti if we signed it; a mark on another issuer's would end nothing."""
    await record(tmp_path)
    trail = AuditTrail(tmp_path, "r2", FakeClock())
    await trail.record("sign", jti="t-2", subject_jti="t-1", client_id="fts", iss="https://us/")
    await trail.record("refused", request_id="req-2")
    trail.close()
    of_lease = f"  credbroker admin contain lease {LEASE}\n"
    _, _, said = ran("trace", "--jti", "t-1", tmp_path)
    assert "contain token" not in said
    assert said.endswith(of_lease)
    _, _, said = ran("trace", "--jti", "t-2", tmp_path)
    assert said.endswith(f"  credbroker admin contain token t-2\n{of_lease}")
    _, _, said = ran("trace", "--request", "req-2", tmp_path)
    assert said == ""
    _, _, said = ran("trace", "--request", "req-1", tmp_path)
    assert "contain token" not in said
    assert f"contain lease {LEASE}\n" in said


async def test_json_gives_the_lines_themselves(tmp_path: Path) -> None:
    """One a line, whole."""
    await record(tmp_path)
    _, answer, _ = ran("trace", "--person", "egi/ada", "--json", tmp_path)
    assert [json.loads(line)["event"] for line in answer] == ["login", "lease_made", "mint"]
    assert "previous" in json.loads(answer[0])


async def test_nothing_found_and_lines_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    """Neither passes for an answer."""
    file = await record(tmp_path)
    file.write_bytes(file.read_bytes() + b"rubbish\n")
    _, answer, said = ran("trace", "--host", "192.0.2.99", tmp_path)
    assert answer == []
    assert said == (
        "1 lines cannot be read; credbroker audit verify names them.\n"
        "Nothing of it is in these files.\n"
    )


async def test_more_than_a_few_names_are_counted(tmp_path: Path) -> None:
    """An answer stays readable."""
    trail = AuditTrail(tmp_path, "r1", FakeClock())
    for number in range(9):
        await trail.record("mint", lease=LEASE, jti=f"t-{number}", **ADA)
    trail.close()
    _, _, said = ran("trace", "--lease", LEASE, tmp_path)
    assert "Tokens: 9: t-0, t-1, t-2, t-3, t-4, and 4 more\n" in said


@pytest.mark.parametrize("jti", ["t-1", "-t"])
async def test_what_is_followed_has_the_words_of_contain(tmp_path: Path, jti: str) -> None:
    """And each command that a trace prints is one that `admin` takes, whatever a name begins with."""
    assert {kind.value for kind in Followed} == {kind.value for kind in Kind} | {"request"}
    trail = AuditTrail(tmp_path, "r1", FakeClock())
    await trail.record("sign", jti=jti, client_id="fts", iss="https://us/")
    trail.close()
    _, _, said = ran("trace", f"--jti={jti}", tmp_path)
    (line,) = (one for one in said.splitlines() if "contain token" in one)
    parser = argparse.ArgumentParser()
    add_admin_arguments(parser)
    args = parser.parse_args(shlex.split(line)[2:])
    assert (args.kind, args.name) == ("token", jti)


async def test_without_files_the_settings_say_where_they_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else is opened for it."""
    tree = right(tmp_path)
    folder = Path(tree["audit"]["folder"])
    write(tmp_path, a=tree)
    await record(folder)
    assert main(["audit", "verify", "--config", str(tmp_path / "config.d")]) == 0
    assert "3 lines, whole" in capsys.readouterr().err
