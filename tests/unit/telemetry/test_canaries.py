"""Leaks are seen in text, files, links, names and arguments, and a blind search gives no report."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest

from credbroker.telemetry import canaries as module
from credbroker.telemetry.canaries import BlindSearchError, Canaries
from credbroker.telemetry.sightings import Sighting

SECRET = "kd83jf0aKQ1zP5vbnT7wXy"
RAW = SECRET.encode()


@pytest.fixture
def planted() -> Canaries:
    """One refresh token, planted."""
    canaries = Canaries()
    canaries.plant("refresh token", SECRET)
    return canaries


def test_text_without_a_secret_passes(planted: Canaries) -> None:
    """The report is empty."""
    planted.search_text("answer to login", b'{"status":"ok"}')
    assert planted.report() == []
    planted.assert_unseen()


def test_a_leak_is_told_by_kind_form_and_place_only(planted: Canaries) -> None:
    """Once, however often the place was looked at."""
    planted.search_text("answer to login", RAW.hex().encode())
    planted.search_text("answer to login", RAW.hex().encode())
    assert planted.report() == [Sighting("refresh token", "hex", "answer to login")]
    with pytest.raises(AssertionError, match="refresh token, hex, in answer to login") as failure:
        planted.assert_unseen()
    assert SECRET not in str(failure.value)


def test_a_secret_planted_after_the_text_was_captured_is_seen(planted: Canaries) -> None:
    """A successor is known only when the issuer has given it."""
    planted.search_text("log", b"got another-refresh-value")
    planted.plant("successor", "another-refresh-value")
    assert planted.report() == [Sighting("successor", "raw", "log")]


def test_files_are_searched_at_any_depth_also_inside_gzip(
    planted: Canaries, tmp_path: Path
) -> None:
    """A rotated log is packed."""
    log = tmp_path / "a" / "b" / "old.log.gz"
    log.parent.mkdir(parents=True)
    log.write_bytes(gzip.compress(b"line\n" * 1000 + RAW))
    planted.search_folder(tmp_path)
    assert planted.report() == [Sighting("refresh token", "compressed", str(log))]


def test_places_where_secrets_may_be_are_left_out(planted: Canaries, tmp_path: Path) -> None:
    """A folder by its name within, a file by its whole path; others stay in."""
    for name in ("sandbox/job.use", "vault.hcl", "log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(RAW)
    planted.search_folder(tmp_path, except_for=["sandbox", tmp_path / "vault.hcl"])
    assert [seen.where for seen in planted.report()] == [str(tmp_path / "log")]


def test_a_link_is_not_followed_but_its_target_is_read(planted: Canaries, tmp_path: Path) -> None:
    """What lies behind it belongs elsewhere; a secret in the target's name does not."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(RAW)
    searched = tmp_path / "searched"
    searched.mkdir()
    (searched / "folder").symlink_to(outside)
    (searched / "file").symlink_to(outside / "file")
    (searched / "loop").symlink_to(searched)
    (searched / "named").symlink_to(SECRET)
    planted.search_folder(searched)
    assert planted.report() == [Sighting("refresh token", "raw", str(searched / "named"))]


def test_a_secret_in_the_name_of_a_folder_is_seen(planted: Canaries, tmp_path: Path) -> None:
    """Though the folder is empty, and without repeating the name."""
    (tmp_path / SECRET).mkdir()
    planted.search_folder(tmp_path)
    (seen,) = planted.report()
    assert SECRET not in str(seen)


def test_a_pipe_is_not_waited_for(planted: Canaries, tmp_path: Path) -> None:
    """Nobody writes into it."""
    os.mkfifo(tmp_path / "pipe")
    planted.search_folder(tmp_path)
    assert planted.report() == []


def test_a_file_that_cannot_be_read_is_no_clean_file(
    planted: Canaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised, not swallowed."""

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "log").touch()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError):
        planted.search_folder(tmp_path)


def test_a_folder_that_is_missing_is_an_error(planted: Canaries, tmp_path: Path) -> None:
    """Looking in the wrong place would prove nothing."""
    with pytest.raises(FileNotFoundError):
        planted.search_folder(tmp_path / "misspelt")


@pytest.mark.parametrize(("variables", "arguments"), [({}, [SECRET]), ({"RT": SECRET}, [])])
def test_a_secret_in_arguments_or_environment_is_seen(
    planted: Canaries, variables: dict[str, str], arguments: list[str]
) -> None:
    """While the program runs."""
    command = ["/bin/sh", "-c", "echo; read line", "sh", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=variables) as program:
        assert program.stdout
        program.stdout.readline()
        planted.search_arguments([program.pid])
    name = "cmdline" if arguments else "environ"
    where = f"/proc/{program.pid}/{name}"
    assert planted.report() == [Sighting("refresh token", "raw", where)]


def test_the_environment_may_be_left_out(planted: Canaries) -> None:
    """As for the tests' own, whose environment is the developer's."""
    planted.search_arguments([os.getpid()], environment=False)
    assert planted.report() == []


def test_a_program_that_has_ended_has_no_arguments(planted: Canaries) -> None:
    """Its pid is gone, which is no error."""
    with subprocess.Popen(["/bin/true"]) as program:
        pass
    planted.search_arguments([program.pid, os.getpid()], environment=False)
    assert planted.report() == []


def test_a_report_is_refused_when_nothing_was_planted() -> None:
    """It could only say yes."""
    canaries = Canaries()
    canaries.search_text("log", b"")
    with pytest.raises(BlindSearchError, match="Plant a secret"):
        canaries.report()


def test_a_report_is_refused_when_nothing_was_looked_at(planted: Canaries) -> None:
    """It could only say yes."""
    with pytest.raises(BlindSearchError, match="look somewhere"):
        planted.report()


@pytest.mark.parametrize("blinded", ["_files_in", "_arguments_of"])
def test_a_report_is_refused_when_a_decoy_goes_unseen(
    planted: Canaries, monkeypatch: pytest.MonkeyPatch, blinded: str
) -> None:
    """A walk that finds no file, or no arguments, would find every run clean."""
    monkeypatch.setattr(module, blinded, lambda *_: [])
    planted.search_text("log", b"all is well")
    with pytest.raises(BlindSearchError, match="would go unseen: decoy"):
        planted.report()
