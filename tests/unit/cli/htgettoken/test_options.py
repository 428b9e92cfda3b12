"""htgettoken's options: order, defaults, spelling, and the page that tells of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from credbroker.cli.htgettoken.options import TABLE, Options, named_in, parse, parser
from credbroker.domain.errors import Malformed

PAGE = Path(__file__).parents[4] / "docs" / "shims.md"
ADDRESS = ("-a", "h")


def nothing(_: Options) -> str:
    """Serve no options."""
    raise AssertionError("nobody asked for an option server")


def test_later_ones_count_and_the_servers_least(tmp_path: Path) -> None:
    """Server, then environment, then command line."""
    served = "-i served -r served --minsecs=1 # comment\n-a served\n"
    environ = {"HTGETTOKENOPTS": "-s opts.example.org -i 'of env' -r env"}
    found = parse(["-i", "typed"], environ, lambda _: served)
    assert (found.issuer, found.role, found.minsecs, found.vaultserver) == (
        "typed", "env", 1, "served",
    )  # fmt: skip


def test_defaults_are_htgettokens() -> None:
    """Of what is said of nothing."""
    found = parse(ADDRESS, {}, nothing)
    assert (found.issuer, found.role, found.minsecs) == ("default", "default", 60)
    assert (found.vault_seconds, found.least_vault_seconds) == (604800, 0)
    assert (found.scopes, found.audience, found.credkey, found.outfile) == (None,) * 4
    assert found.may == (True, True, True)


@pytest.mark.parametrize(
    ("words", "may"),
    [
        (["--novaulttoken"], (False, False, False)),
        (["--registerssh"], (False, False, True)),
        (["--nokerb"], (False, True, True)),
        (["--noss", "--nooidc"], (True, False, False)),
    ],
)
def test_ways_to_log_in_can_be_left_out(words: list[str], may: tuple[bool, bool, bool]) -> None:
    """Long options may be shortened as far as they stay clear."""
    assert parse([*ADDRESS, *words], {}, nothing).may == may


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "which server"),
        ([*ADDRESS, "word"], "Only options"),
        ([*ADDRESS, "--no"], "mbiguous"),
        ([*ADDRESS, "--nothing"], "o such option"),
        ([*ADDRESS, "--minsecs=x"], "nvalid integer"),
        ([*ADDRESS, "-i"], "argument"),
    ],
)
def test_what_is_typed_wrong_is_told(words: list[str], complaint: str) -> None:
    """As a sentence."""
    with pytest.raises(Malformed, match=complaint):
        parse(words, {}, nothing)


def test_a_quote_that_does_not_end_is_told() -> None:
    """In the environment, as from a server."""
    with pytest.raises(Malformed, match="HTGETTOKENOPTS"):
        parse(ADDRESS, {"HTGETTOKENOPTS": "-i 'x"}, nothing)


@pytest.mark.parametrize("ttl", ["7", "d", "7w", "1.5d", "-1d", "", "٣d"])
def test_a_time_is_a_number_with_its_unit(ttl: str) -> None:
    """Anything else is told when it is needed."""
    with pytest.raises(Malformed, match="vaulttokenttl"):
        assert parse([*ADDRESS, f"--vaulttokenttl={ttl}"], {}, nothing).vault_seconds


def test_the_option_server_names_no_program() -> None:
    """It may keep the browser shut."""
    asked = ["-s", "x", *ADDRESS]
    with pytest.raises(Malformed, match="program to run"):
        parse(asked, {}, lambda _: "--web-open-command=rm")
    assert parse(asked, {}, lambda _: "--web-open-command=").web_open_command == ""


def test_a_shortened_option_is_seen() -> None:
    """As the parser would."""
    assert named_in(["--vaulttokenf=x"], "--vaulttokenfile")
    assert not named_in(["--vaulttokenfiles", "--", "-v", "--scopes"], "--vaulttokenfile")


def test_the_version_begins_with_the_release(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs look at that."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("2.6 ")


def test_the_page_has_a_row_for_every_option() -> None:
    """And for no other; each names its test, which is there."""
    lines = PAGE.read_text("utf-8").split("## Options", 1)[1].split("\n## ", 1)[0].splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| `")]
    assert [re.findall(r"`(-[^` ]+)", row[0]) for row in rows] == [list(one[0]) for one in TABLE]
    assert [row[0] for row in rows if "::" not in row[-1]] == []


def test_the_page_has_a_test_for_all_else() -> None:
    """What else is the same, and what is not."""
    lines = PAGE.read_text("utf-8").split("## What else", 1)[1].splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert [row[0] for row in rows if "::" not in row[-1]] == []


@pytest.mark.parametrize(
    "said",
    [
        "-a evil --vaulttokeninfile=/home/ada/.vault-token",
        "-a evil --vaulttokenfile=/home/ada/.vault-token",
        "-a evil -o /home/ada/.bash_login",
        "-a evil --out=/home/ada/.bash_login",
        "-c /elsewhere",
    ],
)
def test_the_option_server_names_no_file(said: str) -> None:
    """It could have one sent elsewhere, or written over."""
    with pytest.raises(Malformed, match="option server names"):
        parse(["-s", "x"], {}, lambda _: said)


@pytest.mark.parametrize("said", ["--version", "-h"])
def test_the_option_server_ends_nothing(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As if all were well."""
    with pytest.raises(Malformed, match="option server"):
        parse(["-s", "x"], {}, lambda _: said)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("said", ["<html> Please log in", "--nonsense", "--minsecs=x"])
def test_what_the_option_server_says_wrong_is_told_as_its(said: str) -> None:
    """Not as what was typed."""
    with pytest.raises(Malformed, match=r"option server's answer"):
        parse(["-s", "x", "-a", "y"], {}, lambda _: said)
