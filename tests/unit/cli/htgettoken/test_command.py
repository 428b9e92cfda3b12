"""htgettoken's exit codes and silence; and `credbroker token` with its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.cli import token
from credbroker.cli.htgettoken.command import read, run_words, stand_in
from credbroker.domain.errors import LeaseUnknown
from tests.fakes.htvault import answer, refusal
from tests.unit.cli.htgettoken.conftest import CREDS

if TYPE_CHECKING:
    from tests.unit.cli.htgettoken.conftest import Person


def end(person: Person, *words: str) -> int:
    """Type htgettoken."""
    return stand_in(words, person.desk(), person.reach)


def test_it_ends_as_htgettoken_does(person: Person) -> None:
    """0 done, 1 failed, 2 typed wrong; nothing is on standard output that was not asked for."""
    person.has_logged_in()
    assert end(person, *person.words) == 0
    person.server.plan(CREDS, refusal(403, "permission denied"))
    assert end(person, *person.words) == 1
    assert "htgettoken: " in person.err.getvalue()
    assert end(person, "--nonsense") == 2
    assert end(person, *person.words, "--vaulttokenttl=x") == 1
    assert person.out.getvalue() == ""


def test_quiet_says_nothing_of_a_failure(person: Person) -> None:
    """But how it is used."""
    assert end(person, *person.words, "-q", "--nooidc", "--nokerberos", "--nossh") == 1
    assert person.err.getvalue() == ""
    assert end(person, "-q") == 2
    assert "which server" in person.err.getvalue()


def test_options_come_from_their_server(person: Person) -> None:
    """At the usual port of https; one that is not there is a failure."""
    person.server.plan("/htgettokenopts.txt", answer())
    options = read(["-s", "opts.example.org", "-a", "x"], person.desk(), person.reach)
    assert options.vaultserver == "x"
    assert person.reached == ["https://opts.example.org"]
    person.server.plan("/htgettokenopts.txt", refusal(404))
    assert end(person, "-s", "opts.example.org") == 1


def test_as_our_own_command_it_ends_by_our_own_codes(person: Person) -> None:
    """What went wrong is raised."""
    person.has_logged_in()
    assert run_words(person.words, person.desk(), person.reach) == 0
    person.server.plan(CREDS, refusal(403, "permission denied"))
    with pytest.raises(LeaseUnknown):
        run_words([*person.words, "--novaulttoken"], person.desk(), person.reach)


@pytest.mark.parametrize(
    ("words", "foreign"),
    [
        (["-a", "h"], True),
        (["-ah"], True),
        (["-i", "cms", "--vaultserver=h"], True),
        (["-s", "h"], True),
        (["--optserver", "h"], True),
        (["--vaults=h"], True),
        (["cms", "--audience", "a", "--scope", "s", "-o", "-"], False),
        ([], False),
    ],
)
def test_words_are_htgettokens_if_they_name_its_server(words: list[str], foreign: bool) -> None:
    """All others are ours."""
    found = token.read_foreign(words)
    assert getattr(found, "htgettoken", None) == (words if foreign else None)
