"""`credbroker token`: a fresh token where it is looked for, and no question without need."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import token
from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import (
    BrokerUnreachable,
    LeaseEnded,
    LocalFileUnfit,
    Malformed,
    TooSoonExpired,
)
from credbroker.wire.native import TOKENS
from tests.fakes.broker import ISSUER_URL, access_token

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table


def test_the_token_is_in_its_file_and_the_path_is_the_answer(table: Table) -> None:
    """Standard output has one line."""
    table.log_in()
    assert table.run(token) == 0
    assert table.answered() == f"{table.token_path}\n"
    assert table.token_path.read_text() == table.broker.given[0].access_token.reveal()
    assert table.said() == ""


def test_a_good_token_is_answered_without_asking(table: Table) -> None:
    """Until less than a minute is left, or less than was asked for."""
    table.log_in()
    table.run(token)
    table.clock.advance(3600 - 60)
    table.run(token)
    assert table.broker.count(TOKENS) == 1
    table.run(token, "--minimum", "10m")
    assert table.broker.count(TOKENS) == 2
    table.run(token, "--fresh")
    assert table.broker.count(TOKENS) == 3
    table.clock.advance(3541)
    table.run(token)
    assert table.broker.count(TOKENS) == 4


def test_an_answer_from_the_file_needs_no_broker(table: Table) -> None:
    """A broker that is away is not noticed; one that must be asked is."""
    table.log_in()
    table.run(token)
    table.broker.problems.append(BrokerUnreachable("Away."))
    assert table.run(token) == 0
    before = table.token_path.read_text()
    with pytest.raises(BrokerUnreachable):
        table.run(token, "--fresh")
    assert table.token_path.read_text() == before


@pytest.mark.parametrize("sign", ["written", "issued"])
def test_a_token_from_the_future_is_not_believed(table: Table, sign: str) -> None:
    """This machine's clock was set back: how long the token lives is for the broker to say."""
    table.log_in()
    table.run(token)
    table.clock.jump(-61 if sign == "issued" else -1)
    if sign == "issued":
        os.utime(table.token_path, (0, 0))
    table.run(token)
    assert table.broker.count(TOKENS) == 2


def test_a_wider_or_narrower_token_is_not_passed_off(table: Table) -> None:
    """Scopes and audiences must be those asked for: neither less nor more."""
    table.log_in()
    narrow = ("--scope", "storage.read:/a", "--audience", "https://dav")
    for arguments in ((), narrow, (), narrow, narrow):
        table.run(token, *arguments)
    assert table.broker.count(TOKENS) == 4
    asked = json.loads(table.broker.requests[1].body)
    assert asked == {
        "scopes": ["storage.read:/a"],
        "audiences": ["https://dav"],
        "minimum_seconds": 60,
    }


@pytest.mark.parametrize("content", ["", "not a token", "opaque", "a.b.c", access_token])
def test_whatever_else_is_in_the_file_is_replaced(table: Table, content: object) -> None:
    """Another issuer's token, a broken one, none: the broker is asked."""
    table.log_in()
    if content is access_token:
        content = access_token(table.clock.now(), iss="https://other/").reveal()
    table.token_path.write_text(str(content))
    table.run(token)
    assert table.token_path.read_text() == table.broker.given[0].access_token.reveal()


def test_another_file_or_none_can_be_asked_for(table: Table) -> None:
    """A dash prints the token and writes nothing."""
    table.log_in()
    table.run(token, "--out", "-")
    assert table.answered() == table.broker.given[0].access_token.reveal() + "\n"
    table.run(token, "-o", "/dev/stdout")
    assert table.answered() == table.broker.given[1].access_token.reveal() + "\n"
    assert not table.token_path.exists()
    table.run(token, "--out", str(table.folder / "mine"))
    assert table.answered() == f"{table.folder / 'mine'}\n"
    assert (table.folder / "mine").exists()


def test_json_says_the_same_from_broker_and_file(table: Table) -> None:
    """Token, times, scope and audience; only the time to come back differs."""
    table.log_in()
    answers = []
    for _ in range(2):
        table.run(token, "--json")
        answers.append(json.loads(table.answered()))
        answers[-1].pop("renew_at")
    assert answers[0] == answers[1]
    assert answers[0] == {
        "access_token": table.broker.given[0].access_token.reveal(),
        "expires_at": "2026-06-01T13:00:00Z",
        "issuer": "cms",
        "issuer_url": ISSUER_URL,
        "scope": "storage.read:/",
        "audience": [ANY_AUDIENCE],
        "jti": "jti-1",
        "token_type": "Bearer",
    }


def test_a_variable_that_hides_the_file_is_warned_of(table: Table) -> None:
    """Programs would use the variable's token, not the fresh one."""
    table.log_in()
    table.environ["BEARER_TOKEN"] = "old"
    table.run(token)
    assert "unset BEARER_TOKEN" in table.said()


@pytest.mark.parametrize("out", [(), ("-o", "-")])
def test_a_header_is_what_curl_reads(table: Table, out: tuple[str, ...]) -> None:
    """From a new token and from the file."""
    table.log_in()
    for _ in range(2):
        table.run(token, "--auth-header", *out)
        value = table.broker.given[-1].access_token.reveal()
        assert table.answered() == f"Authorization: Bearer {value}\n"
    assert len(table.broker.given) == (2 if out else 1)
    assert table.said() == ""


def test_a_shell_is_told_where_the_token_is(table: Table) -> None:
    """The variable that would go before it is taken away; a name with blanks stays one word."""
    table.log_in()
    path = table.folder / "my token"
    table.environ["BEARER_TOKEN"] = "old"
    table.run(token, "--env", "-o", str(path))
    assert table.answered() == f"unset BEARER_TOKEN\nexport BEARER_TOKEN_FILE='{path}'\n"
    table.run(token, "--env", "-o", "-")
    assert table.answered() == (
        f"export BEARER_TOKEN={table.broker.given[-1].access_token.reveal()}\n"
    )
    assert table.said() == ""


def test_a_token_that_ends_too_soon_is_not_passed_off(table: Table) -> None:
    """Whatever the broker thinks of it; what is in the file stays."""
    table.log_in()
    table.run(token)
    before = table.token_path.read_text()
    with pytest.raises(TooSoonExpired, match="lasts for 1 h only"):
        table.run(token, "--minimum", "2h")
    assert table.token_path.read_text() == before
    table.broker.problems.append(TooSoonExpired("No token lives that long."))
    with pytest.raises(TooSoonExpired, match="No token"):
        table.run(token, "--minimum", "2h")


def test_at_a_terminal_a_login_that_is_needed_is_begun(table: Table) -> None:
    """Then the token is fetched; nobody has to type the command again."""
    table.log_in(role="production")
    table.broker.ended.update(table.broker.leases)
    table.sit_down()
    assert table.run(token) == 0
    assert table.token_path.read_text() == table.broker.given[0].access_token.reveal()
    said = table.said()
    assert said.startswith("This lease was ended.\nTo log in to cms in the role production, open\n")
    assert table.answered() == f"{table.token_path}\n"


def test_several_scopes_may_stand_in_one_value(table: Table) -> None:
    """As they stand in a token, or as repeated options."""
    table.log_in()
    table.run(token, "--scope", "storage.read:/a storage.read:/b", "--scope", "compute.read")
    assert json.loads(table.broker.requests[0].body)["scopes"] == [
        "storage.read:/a",
        "storage.read:/b",
        "compute.read",
    ]


def test_what_can_be_no_scope_is_refused_without_asking(table: Table) -> None:
    """The sentence says what is wrong with it."""
    table.log_in()
    with pytest.raises(Malformed, match=r"storage\.read needs a path"):
        table.run(token, "--scope", "storage.read")
    assert table.broker.requests == []


def test_a_login_that_is_over_names_the_command_that_mends_it(table: Table) -> None:
    """The very login, with its role; the old file stays."""
    table.log_in(role="production")
    table.broker.problems.append(LeaseEnded("This lease ran out."))
    with pytest.raises(LeaseEnded) as ended:
        table.run(token)
    assert ended.value.remedy == "Log in again with: credbroker login cms --role production"


def test_a_folder_that_is_not_safe_is_refused(table: Table) -> None:
    """The token is not written where anybody could swap it."""
    table.log_in()
    table.folder.chmod(0o777)
    with pytest.raises(LocalFileUnfit, match="Everybody"):
        table.run(token)


def test_the_lease_goes_to_its_own_broker_only(table: Table) -> None:
    """An address in the environment is for new logins: no lease is shown to a stranger."""
    table.log_in(ca_file="/etc/ca.pem")
    table.environ["CREDBROKER_URL"] = "https://evil.example.org"
    table.run(token)
    assert table.asked == [("https://broker.example.org:8200", "/etc/ca.pem")]


def test_a_person_at_a_terminal_hears_how_long_it_lasts(table: Table) -> None:
    """Scripts do not."""
    table.log_in()
    table.err.is_terminal = True
    table.run(token)
    assert table.said() == "Good for 1 h.\n"
    assert isinstance(table.out, io.StringIO)


def test_an_empty_name_is_not_the_usual_file(table: Table) -> None:
    """As of a variable that is not set: a narrow token must not take the place that others read."""
    table.log_in()
    with pytest.raises(LocalFileUnfit):
        table.run(token, "-o", "", "--scope", "storage.read:/a", "--audience", "https://dav")
    assert not table.token_path.exists()
