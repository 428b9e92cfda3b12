"""Tokens are removed, and with -f the login is ended first, or nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.cli.htgettoken.destroy import stand_in
from credbroker.delivery import vault_files, whole_file
from credbroker.domain.errors import BrokerUnreachable
from tests.fakes.htvault import answer, refusal
from tests.unit.cli.htgettoken.conftest import CREDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.htgettoken.conftest import Person


@pytest.fixture
def ada(person: Person) -> Person:
    """Somebody with a login and a token."""
    person.has_logged_in()
    person.bearer_file.write_text("a token")
    person.environ["VAULT_TOKEN_FILE"] = str(person.vault_file)
    person.server.plan(CREDS, answer(status=204))
    return person


def destroy(person: Person, *words: str) -> int:
    """Type htdestroytoken; return its exit code."""
    return stand_in(words, person.desk(), person.reach)


def left(person: Person) -> list[bool]:
    """Return whether vault token and bearer token are there."""
    return [person.vault_file.exists(), person.bearer_file.exists()]


def test_both_files_are_removed_and_nobody_is_asked(ada: Person) -> None:
    """Once more does no harm."""
    assert destroy(ada) == 0
    assert left(ada) == [False, False]
    assert ada.err.getvalue().count("Removed") == 2
    assert destroy(ada) == 0
    assert ada.server.asked == []


def test_quiet_says_nothing(ada: Person) -> None:
    """Of what went well."""
    assert destroy(ada, "-q") == 0
    assert (ada.out.getvalue(), ada.err.getvalue()) == ("", "")


def test_the_login_is_ended_first(ada: Person) -> None:
    """Under the vault token, where its tokens are read."""
    assert destroy(ada, "-f", *ada.words) == 0
    (asked,) = ada.server.asked
    assert (asked.method, asked.target) == ("DELETE", f"{CREDS}cms/ada:default")
    assert asked.headers["X-Vault-Token"] == "hvs.kept"
    assert left(ada) == [False, False]


def test_options_may_be_in_the_environment(ada: Person) -> None:
    """As for htgettoken."""
    ada.environ["HTGETTOKENOPTS"] = "-a x -i cms"
    assert destroy(ada, "-q", "-f") == 0
    assert ada.server.count(CREDS) == 1


@pytest.mark.parametrize("trouble", [refusal(403, "permission denied"), BrokerUnreachable("Away.")])
def test_if_the_login_cannot_be_ended_all_stays(ada: Person, trouble: Exception) -> None:
    """Exit code 3, and why."""
    ada.server.plan(CREDS, trouble)
    assert destroy(ada, "-f", *ada.words) == 3
    assert left(ada) == [True, True]
    assert "htdestroytoken: " in ada.err.getvalue()


def test_without_a_vault_token_there_is_nothing_to_end(ada: Person) -> None:
    """The other file goes."""
    ada.vault_file.unlink()
    assert destroy(ada, "-f", *ada.words) == 0
    assert (ada.server.asked, left(ada)) == ([], [False, False])


def test_somebody_unknown_cannot_be_ended(ada: Person) -> None:
    """Nor what htgettoken's options do not say."""
    assert destroy(ada, "-f", *ada.words, "-r", "other") == 3
    assert destroy(ada, "-f", "--nonsense") == 3
    assert left(ada) == [True, True]


@pytest.mark.parametrize(
    "words", [("-h",), ("word",), ("-f",), ("-f", "-q"), ("-f", "-a", "x", "-h")]
)
def test_how_it_is_used_is_told_with_exit_code_2(ada: Person, words: tuple[str, ...]) -> None:
    """And all stays."""
    assert destroy(ada, *words) == 2
    assert "Usage: htdestroytoken" in ada.err.getvalue()
    assert left(ada) == [True, True]


def test_the_vault_token_file_may_be_said_as_to_htgettoken(ada: Person) -> None:
    """Where the environment does not name it."""
    del ada.environ["VAULT_TOKEN_FILE"]
    assert destroy(ada, "-f", *ada.words) == 0
    assert left(ada) == [False, False]


def test_streams_are_neither_read_nor_removed(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may stand where files do, as in HTGETTOKENOPTS for another program."""
    removed: list[Path] = []
    monkeypatch.setattr(whole_file, "remove", removed.append)
    monkeypatch.setattr(vault_files, "_read_stream", pytest.fail)
    ada.environ |= {"BEARER_TOKEN_FILE": "/dev/stdout", "VAULT_TOKEN_FILE": "/dev/stdin"}
    assert destroy(ada) == 0
    del ada.environ["VAULT_TOKEN_FILE"]
    assert destroy(ada, "-f", *ada.words, "--vaulttokenfile=/dev/stdout") == 0
    assert removed == []
