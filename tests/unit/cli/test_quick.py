"""The quick answer of `credbroker token`: what it says the whole command says, too, and no other."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credbroker.cli import quick, token
from credbroker.wire.native import TOKENS
from tests.fakes.broker import access_token

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Table

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestWarning")

WORDS = [
    "cms", "atlas", "--role", "default", "--minimum", "1h", "2h", "3601", "nonsense", "-o", "--out",
    "-", "/dev/stdout", "--fresh", "--json", "--scope", "storage.read:/", "--role=default", "--rol",
    "--", "", "-x", "-ofile", "--no-login", "--debug",
]  # fmt: skip


def found(table: Table, *words: str) -> tuple[str, float] | None:
    """Return what the quick part makes of these words at this table."""
    return quick.find(words, table.environ, os.geteuid(), table.clock.now().timestamp())


@pytest.fixture
def good(table: Table) -> Table:
    """Somebody logged in, whose file holds a good token."""
    table.environ["BEARER_TOKEN_FILE"] = str(table.folder / "bt")
    table.log_in()
    put(table)
    return table


def put(table: Table, **claims: object) -> None:
    """Put a token with such claims into the file, now."""
    now = table.clock.now()
    path = table.folder / "bt"
    path.write_text(access_token(now, **claims).reveal())  # type: ignore[arg-type] # the test knows the claims
    os.utime(path, (now.timestamp(), now.timestamp()))


def test_a_good_token_is_found_until_a_minute_before_its_end(good: Table) -> None:
    """And as long as was asked for."""
    path = str(good.folder / "bt")
    ends_at = good.clock.now().timestamp() + 3600
    assert found(good) == found(good, "cms", "--role", "default") == (path, ends_at)
    assert found(good, "--minimum", "1h") == (path, ends_at)
    assert found(good, "--minimum", "3601") is None
    good.clock.advance(3540)
    assert found(good) == (path, ends_at)
    good.clock.advance(1)
    assert found(good) is None


@pytest.mark.parametrize(
    "words",
    [["--fresh"], ["--json"], ["-o", "-"], ["atlas"], ["--role", "other"], ["--minimum", "x"],
     ["--scope", "storage.read:/"], ["cms", "cms"], ["--role"], [""]],
)  # fmt: skip
def test_whatever_else_is_asked_is_for_the_whole_command(good: Table, words: list[str]) -> None:
    """Also what is wrong: the whole command says why."""
    assert found(good, *words) is None


@pytest.mark.parametrize(
    "claims",
    [{"iss": "https://other.example.org/"}, {"scope": "storage.read:/a"}, {"scope": None},
     {"aud": "https://se"}, {"aud": []}, {"jti": 7}, {"sub": ""}, {"wlcg.ver": None}, {"exp": "1"},
     {"iat": 2**40}, {"nbf": None, "iat": 4102444800}, {"nbf": 4102444800}, {"exp": float("inf")},
     {"wlcg.groups": "x", "aud": {"a": 1}}, {"seconds": 59}],
)  # fmt: skip
def test_another_token_is_not_passed_off(good: Table, claims: dict[str, object]) -> None:
    """One that is not just what this login would be given."""
    put(good, **claims)
    assert found(good) is None


def spoil(path: Path, content: bytes) -> None:
    """Put something else there, with the same times."""
    kept = path.stat()
    path.write_bytes(content)
    os.utime(path, (kept.st_atime, kept.st_mtime))


@pytest.mark.parametrize(
    "content", [b"", b"a.b", b"a.b.c", b"e30.e30.e30", b"\xff.e30.e30", b"*" * 300_000]
)
def test_what_is_no_token_is_for_the_whole_command(good: Table, content: bytes) -> None:
    """It says so, or replaces it."""
    spoil(good.folder / "bt", content)
    assert found(good) is None


def test_a_file_that_might_lead_elsewhere_is_for_the_whole_command(good: Table) -> None:
    """Links, pipes, and what others may read of a lease."""
    token_path = good.folder / "bt"
    token_path.rename(good.folder / "real")
    token_path.symlink_to(good.folder / "real")
    assert found(good) is None
    token_path.unlink()
    os.mkfifo(token_path)
    assert found(good) is None
    token_path.unlink()
    (good.folder / "real").rename(token_path)
    assert found(good) is not None
    lease = next((good.folder / "state").rglob("*.json"))
    lease.chmod(0o640)
    assert found(good) is None


def test_a_clock_that_was_set_back_is_for_the_whole_command(good: Table) -> None:
    """It asks the broker."""
    good.clock.jump(-1)
    assert found(good) is None


def test_two_logins_or_none_are_for_the_whole_command(good: Table) -> None:
    """Unless it is said which."""
    good.log_in(role="production")
    assert found(good) is None
    assert found(good, "--role", "default") is not None
    for path in (good.folder / "state").rglob("*.json"):
        path.unlink()
    assert found(good) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("BEARER_TOKEN", "x"), ("BEARER_TOKEN_FILE", "bt"), ("XDG_STATE_HOME", "state"),
     ("BEARER_TOKEN_FILE", "{folder}//bt"), ("BEARER_TOKEN_FILE", "{folder}/./bt")],
)  # fmt: skip
def test_an_environment_that_is_not_plain_is_for_the_whole_command(
    good: Table, name: str, value: str
) -> None:
    """A variable that hides the file, or a path that could be written otherwise."""
    good.environ[name] = value.format(folder=good.folder)
    assert found(good) is None


@given(words=st.lists(st.sampled_from(WORDS), max_size=5))
def test_plain_words_mean_what_the_parser_says(words: list[str]) -> None:
    """All that is read without a parser is read as the parser reads it."""
    said = token.read_foreign(words)
    if said is not None and "htgettoken" not in vars(said):
        parser = argparse.ArgumentParser()
        token.add_arguments(parser)
        parser.add_argument("--debug", action="store_true")
        assert vars(said) == vars(parser.parse_args(words))


CLAIMS: dict[str, st.SearchStrategy[object]] = {
    "scope": st.sampled_from(["storage.read:/", "openid storage.read:/", "storage.read", "a b", None]),
    "aud": st.sampled_from(["https://wlcg.cern.ch/jwt/v1/any", ["https://wlcg.cern.ch/jwt/v1/any"], "x", None]),
    "exp": st.sampled_from([0, -1, 1780318800, 1780322400.5, 1e300, True, "1"]),
    "nbf": st.sampled_from([None, 0, 1780315200, 1780315261]),
    "jti": st.sampled_from(["j", "", "\ud800", "é", None]),
    "wlcg.groups": st.sampled_from([None, "/cms", ["/cms"], [1]]),
}  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.fixed_dictionaries({}, optional=CLAIMS),
    words=st.lists(st.sampled_from(WORDS), max_size=3),
    scopes=st.lists(st.sampled_from(["openid", "storage.read:/", "storage.read:/a"]), max_size=3),
    mode=st.sampled_from([0o600, 0o600, 0o644]),
)
def test_what_is_answered_quickly_the_whole_command_answers_too(
    table: Table, claims: dict[str, object], words: list[str], scopes: list[str], mode: int
) -> None:
    """The very same, and without asking anybody: whatever file, login and words there are."""
    table.environ["BEARER_TOKEN_FILE"] = str(table.folder / "bt")
    table.log_in(scopes=scopes).chmod(mode)
    put(table, **claims)
    answer = found(table, *words)
    if answer is None:
        return
    table.broker.requests.clear()
    table.answered()
    assert table.run(token, *words) == 0
    assert (table.answered(), table.said()) == (f"{answer[0]}\n", "")
    assert table.broker.count(TOKENS) == 0


def environ(good: Table) -> dict[str, str]:
    """Return the environment of a program."""
    return {**good.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.slow
def test_a_quick_answer_loads_neither_parser_nor_network(good: Table, tmp_path: Path) -> None:
    """Nor what makes classes of records, which takes longest."""
    put(good, iat=0, nbf=0, exp=2**34)
    watch = "import sys; from credbroker.__main__ import main; print(main(['token']), *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", watch], env=environ(good), capture_output=True, text=True, check=True
    )  # fmt: skip
    path, told = done.stdout.splitlines()
    code, *modules = told.split()
    assert (path, code, done.stderr) == (str(good.folder / "bt"), "0", "")
    assert not {"argparse", "dataclasses", "datetime", "pathlib", "ssl", "typing"} & set(modules)


def test_a_person_at_a_terminal_hears_how_long_it_lasts(
    good: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from the whole command."""
    put(good, iat=0, nbf=0, exp=2**34)
    for name, value in good.environ.items():
        monkeypatch.setenv(name, value)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert quick.run([]) == 0
    assert out.getvalue() == f"{good.folder / 'bt'}\n"
    assert err.getvalue().startswith("Good for ")
    assert quick.run(["--fresh"]) is None
