"""`credbroker inspect`: a token in words, and what a storage would say to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.cli import inspect
from credbroker.domain.errors import LocalFileUnfit, LoginNeeded, Malformed, NotFound
from tests.unit.cli.conftest import Terminal
from tests.unit.cli.tokens import compact

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Table

URL = "https://se.test/d/f"


def put(table: Table, **claims: Any) -> Path:
    """Put a token there where programs look for it; return its file."""
    table.token_path.write_text(compact(table.clock.now(), **claims))
    table.token_path.chmod(0o600)
    return table.token_path


def test_a_token_is_told_in_words(table: Table) -> None:
    """Each scope with its meaning; without a login nobody can be asked about the signature."""
    path = put(table, scope="storage.read:/d wlcg.groups", **{"wlcg.groups": ["/cms"]})
    table.environ["BEARER_TOKEN_FILE"] = str(path)
    assert table.run(inspect) == 0
    assert table.answered() == (
        "token      jti-1\n"
        f"found in   {path}\n"
        "issuer     https://issuer.test/\n"
        "subject    sub-ada\n"
        "for        https://se.test\n"
        "valid      until 2026-06-01 13:00 UTC, 1 h\n"
        "signature  not verified: There is no login here at its issuer.\n"
        "group      /cms\n"
        "scope      storage.read:/d\n"
        "             read files that are online, and see their size and checksum:"
        " /d and what is below it\n"
        "scope      wlcg.groups\n"
        "             be a member of the groups named; only where the token has no capability\n"
    )


def test_what_a_storage_would_say_is_told_with_what_to_ask_for(table: Table) -> None:
    """The exit code is 5 if any of it would be refused."""
    path = str(put(table, scope="storage.read:/d"))
    assert table.run(inspect, path, "--can", "read", URL) == 0
    assert f"\nread {URL}: yes\n  storage.read:/d allows it.\n" in table.answered()
    assert table.run(inspect, path, "--can", "read", URL, "--can", "write", URL) == 5
    shown = table.answered()
    assert f"\nwrite {URL}: no\n" in shown
    assert "  Ask for --scope storage.create:/d/f\n" in shown
    assert "(a storage that goes by https://se.test or se.test)" in shown


def test_how_the_storage_is_set_up_can_be_said(table: Table) -> None:
    """Its names, where the issuer's area is, and how it reads tokens."""
    path = str(put(table, scope="storage.read:/d", aud="site-storage"))
    url = "https://se.test/wlcg/data/f"
    options = ["--audience", "site-storage", "--base-path", "/wlcg", "--can", "read", url]
    assert table.run(inspect, path, *options) == 5
    assert table.run(inspect, path, "--storage", "xrootd-5", *options) == 0
    assert "compares paths as texts" in table.answered()


def test_a_program_gets_it_as_json(table: Table) -> None:
    """All of it, in one object."""
    path = str(put(table, scope="storage.read:/d"))
    assert table.run(inspect, path, "--json", "--can", "stat", URL) == 0
    told = json.loads(table.answered())
    assert told["scopes"][0]["scope"] == "storage.read:/d"
    assert (told["signature"], told["trouble"]) == ("not verified", None)
    assert told["can"][0]["allowed"] is True
    assert told["expires_at"] == "2026-06-01T13:00:00Z"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"scope": "storage.read"}, "needs a path"),
        ({"scope": "storage.read:/a/../b"}, "segments"),
        ({"aud": 5}, "aud"),
        ({"exp": 0}, "expired"),
        ({"nbf": 4000000000}, "not valid yet"),
    ],
)
def test_a_token_of_no_use_is_told_as_such(
    table: Table, changes: dict[str, Any], word: str
) -> None:
    """With the reason, for people and programs; exit code 5."""
    path = str(put(table, **changes))
    assert table.run(inspect, path) == 5
    assert word in table.answered()
    assert table.run(inspect, path, "--json") == 5
    assert word in json.loads(table.answered())["trouble"]


@pytest.mark.parametrize(
    "fields", [{"issuer_url": "https://issuer.test/"}, {"broker": "https://issuer.test"}]
)
def test_the_broker_of_a_login_at_the_issuer_is_asked_about_the_signature(
    table: Table, fields: dict[str, Any]
) -> None:
    """Or the issuer, where it is a broker; what is not its issuer's is of no use: exit code 5."""
    path = str(put(table))
    table.log_in(**fields)
    assert table.run(inspect, path) == 0
    assert "signature  verified: As the test has it.\n" in table.answered()
    table.broker.verifies = False
    assert table.run(inspect, path, "--json") == 5
    told = json.loads(table.answered())
    assert (told["signature"], told["trouble"]) == ("not verified", "As the test has it.")


def test_no_other_broker_is_shown_the_token(table: Table) -> None:
    """Nor one whose name only begins as the issuer's."""
    path = str(put(table))
    table.log_in(issuer_url="https://other.test/")
    table.log_in(role="two", issuer_url=None, broker="https://issuer.tes")
    assert table.run(inspect, path) == 0
    assert "not verified" in table.answered()
    assert table.broker.requests == []


def test_a_broker_that_cannot_tell_leaves_the_signature_open(table: Table) -> None:
    """As one that is away, or one that has no keys of the issuer."""
    path = str(put(table))
    table.log_in(issuer_url="https://issuer.test/")
    table.broker.problems.append(NotFound("No keys of it."))
    assert table.run(inspect, path) == 0
    assert "signature  not verified: No keys of it.\n" in table.answered()


def test_a_token_may_come_on_standard_input(table: Table) -> None:
    """As from another program."""
    table.inp = Terminal(compact(table.clock.now()) + "\n")
    assert table.run(inspect, "-") == 0
    assert "found in   standard input\n" in table.answered()
    table.inp = None
    assert table.run(inspect, "-") == 5


def test_a_token_on_the_command_line_is_refused_and_not_repeated(table: Table) -> None:
    """It is no secret any more; nothing makes that worse."""
    value = compact(table.clock.now())
    with pytest.raises(Malformed, match="everybody on this machine") as refused:
        table.run(inspect, value)
    assert value not in str(refused.value) + refused.value.remedy


def test_no_token_anywhere_names_the_command(table: Table) -> None:
    """A file that was named and is not there is said, too."""
    with pytest.raises(LoginNeeded) as none:
        table.run(inspect)
    assert none.value.remedy == "Get one with: credbroker token"
    with pytest.raises(LocalFileUnfit, match="not there"):
        table.run(inspect, str(table.folder / "none"))


@pytest.mark.parametrize("can", [("list", URL), ("read", "/d/f")])
def test_what_is_no_deed_or_no_url_is_refused(table: Table, can: tuple[str, str]) -> None:
    """As usage."""
    path = str(put(table))
    with pytest.raises(Malformed):
        table.run(inspect, path, "--can", *can)


def test_a_strange_token_moves_no_cursor(table: Table) -> None:
    """Whatever stands in its claims."""
    path = str(put(table, sub="a\x1b[2Jb"))
    table.run(inspect, path)
    assert "\x1b" not in table.answered()
