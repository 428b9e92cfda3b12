"""What a token says, printed as htdecodetoken does."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.htgettoken import decode as decode_module
from credbroker.cli.htgettoken.decode import stand_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.htgettoken.conftest import Person


@pytest.fixture
def ada(person: Person) -> Person:
    """Somebody with a token where programs look for it."""
    person.bearer_file.write_text(f"{person.token()}\n")
    return person


def decode(person: Person, *words: str) -> str:
    """Type htdecodetoken; return what it prints, after it ended well."""
    assert stand_in(words, person.desk()) == 0, person.err.getvalue()
    return person.out.getvalue()


def test_claims_are_printed_as_json_for_jq(ada: Person) -> None:
    """Indented; the header comes before them if it is wanted."""
    claims = json.loads(decode(ada))
    assert claims["sub"] == "ada"
    assert claims["ok"] is True
    header, _, rest = decode(ada, "-a").partition("}\n{")[2].partition("}\n{")
    assert json.loads("{" + header + "}") == {"alg": "none"}
    assert '\n  "sub": "ada",\n' in rest


def test_times_are_printed_as_dates(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `date` writes them, in this machine's time zone; what is no whole number stays."""
    monkeypatch.setenv("TZ", "UTC")
    claims = json.loads(decode(ada, "-H"))
    assert claims["exp"] == "Mon Jun  1 13:00:00 UTC 2026"
    assert claims["ok"] is True


def test_the_token_may_be_elsewhere(ada: Person, tmp_path: Path) -> None:
    """In a variable first, in a file that is named, or on standard input."""
    other = tmp_path / "other"
    other.write_text(ada.token(60))
    decode(ada, "-v", str(other))
    ada.inp.write(ada.token())
    ada.inp.seek(0)
    decode(ada, "-v", "-")
    ada.environ["BEARER_TOKEN"] = ada.token()
    decode(ada, "-v")
    assert ada.err.getvalue().splitlines() == [
        f"Token source: {other}",
        "Token source: standard input",
        "Token source: BEARER_TOKEN",
    ]


@pytest.mark.parametrize(
    "words", [("-x",), ("-h",), ("a", "b"), ("-s", "-f"), ("missing",), ("/dev/null",)]
)
def test_what_cannot_be_is_told_with_exit_code_1(ada: Person, words: tuple[str, ...]) -> None:
    """And nothing is printed."""
    assert stand_in(words, ada.desk()) == 1
    assert ada.out.getvalue() == ""
    assert ada.err.getvalue().startswith("htdecodetoken: ")


@pytest.mark.parametrize("content", ["no token at all", "a.b", "..", "a.%%.c", "e30.bm90anNvbg.x"])
def test_what_is_no_token_is_told(ada: Person, content: str) -> None:
    """Without quoting it."""
    ada.bearer_file.write_text(content)
    assert stand_in([], ada.desk()) == 1
    assert content not in ada.err.getvalue()


def test_without_a_token_its_place_is_told(person: Person) -> None:
    """Where it was looked for."""
    assert stand_in([], person.desk()) == 1
    assert str(person.bearer_file) in person.err.getvalue()


def install_verifier(person: Person, deed: str) -> None:
    """Put a scitokens-verify on the person's path."""
    made = person.folder / "scitokens-verify"
    made.write_text(f'#!/bin/sh\necho "$# $(cat)" > {person.folder}/asked\n{deed}\n')
    made.chmod(stat.S_IRWXU)
    person.environ["PATH"] = f"{person.folder}{os.pathsep}{os.defpath}"


def test_the_verifier_gets_the_token_on_its_standard_input(ada: Person) -> None:
    """Never in its words; its exit code is ours, and what it says is told if it says no."""
    install_verifier(ada, "echo no; exit 9")
    assert stand_in(["-f"], ada.desk()) == 9
    assert (ada.folder / "asked").read_text().split() == ["0", ada.bearer_file.read_text().strip()]
    assert "no" in ada.err.getvalue()
    install_verifier(ada, "exit 0")
    assert stand_in(["-f"], ada.desk()) == 0


@pytest.mark.parametrize(
    ("words", "terminal", "asks"), [((), False, 0), ((), True, 1), (("-s",), True, 0)]
)
def test_the_verifier_is_asked_at_a_terminal(
    ada: Person, words: tuple[str, ...], terminal: bool, asks: int
) -> None:
    """Unless that is skipped; where there is none, nobody misses it."""
    ada.out.is_terminal = terminal
    install_verifier(ada, "exit 9")
    assert stand_in(words, ada.desk()) == (9 if asks else 0)
    ada.environ["PATH"] = ""
    assert stand_in(words, ada.desk()) == 0


def test_a_verifier_that_reads_nothing_does_no_harm(ada: Person) -> None:
    """Older ones want the token as a word, which they do not get."""
    made = ada.folder / "scitokens-verify"
    made.write_text("#!/bin/sh\nexec 0<&-\necho Insufficient arguments; exit 1\n")
    made.chmod(stat.S_IRWXU)
    ada.environ["PATH"] = f"{ada.folder}{os.pathsep}{os.defpath}"
    assert stand_in(["-f"], ada.desk()) == 1
    assert "Insufficient arguments" in ada.err.getvalue()


def test_a_verifier_that_hangs_is_given_up(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sentence; it may be asking somebody who does not answer."""
    monkeypatch.setattr(decode_module, "_VERIFIER_SECONDS", 0.2)
    os.mkfifo(ada.folder / "never")
    install_verifier(ada, f"exec cat {ada.folder}/never")
    assert stand_in(["-f"], ada.desk()) == 1
    assert "did not end in time" in ada.err.getvalue()
