"""What is not said is found if there is one only; else a sentence lists what there is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import choice
from credbroker.cli.choice import (
    add_right_arguments,
    choose_address,
    choose_audiences,
    choose_ca_file,
    choose_issuer,
    choose_login,
    choose_scopes,
)
from credbroker.client import reaching
from credbroker.delivery import lease_file
from credbroker.domain.errors import LocalFileUnfit, LoginNeeded, Malformed

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table


def test_the_variable_of_authorities_is_the_clients_own() -> None:
    """Its name stands twice, since the client's room takes longer to load than it does."""
    assert choice.CA_FILE_VARIABLE == reaching.CA_FILE_VARIABLE


def test_the_only_login_need_not_be_named(table: Table) -> None:
    """One lease file: no arguments needed."""
    path = table.log_in()
    assert choose_login(None, None, table.environ)[0] == path


def test_one_of_several_logins_must_be_named(table: Table) -> None:
    """The sentence lists them; naming issuer or role is enough if it decides."""
    table.log_in("atlas", "default")
    table.log_in("cms", "default")
    path = table.log_in("cms", "production")
    with pytest.raises(Malformed, match="atlas in the role default, cms in the role default"):
        choose_login(None, None, table.environ)
    with pytest.raises(Malformed, match="at cms in the role default, cms in the role production"):
        choose_login("cms", None, table.environ)
    assert choose_login(None, "production", table.environ)[0] == path


def test_without_a_login_the_command_that_makes_it_is_named(table: Table) -> None:
    """Issuer and role that were asked for are in it."""
    with pytest.raises(LoginNeeded) as needed:
        choose_login(None, None, table.environ)
    assert needed.value.remedy == "Log in with: credbroker login"
    with pytest.raises(LoginNeeded, match="at cms in the role production") as needed:
        choose_login("cms", "production", table.environ)
    assert needed.value.remedy == "Log in with: credbroker login cms --role production"


def test_an_option_counts_before_the_environment_and_that_before_the_file(table: Table) -> None:
    """For the broker of a new login, and for the certificate authority."""
    with pytest.raises(Malformed, match="which broker"):
        choose_address(None, table.environ)
    path = table.log_in()
    assert choose_address(None, table.environ) == "https://broker.example.org:8200"
    table.environ["CREDBROKER_URL"] = "https://other.example.org"
    assert choose_address(None, table.environ) == "https://other.example.org"
    assert choose_address("https://third.example.org", table.environ).startswith("https://third")
    assert lease_file.read(path).broker == "https://broker.example.org:8200"
    table.environ["CREDBROKER_CA_FILE"] = "/etc/b.pem"
    assert choose_ca_file(argparse.Namespace(ca_file="/etc/a.pem"), table.environ) == "/etc/a.pem"
    assert choose_ca_file(argparse.Namespace(ca_file=None), table.environ) == "/etc/b.pem"
    assert choose_ca_file(argparse.Namespace(ca_file=None), {}) is None


def test_scopes_and_audiences_may_be_repeated_and_left_out() -> None:
    """What is left out is not the same as none: all that is granted is meant."""
    parser = argparse.ArgumentParser()
    add_right_arguments(parser)
    none = parser.parse_args([])
    assert (choose_scopes(none.scope), choose_audiences(none.audience)) == (None, None)
    some = parser.parse_args(["--scope=a:/", "--scope=b", "--audience=x", "--audience=y"])
    assert choose_scopes(some.scope) == ["a:/", "b"]
    assert choose_audiences(some.audience) == ["x", "y"]


def test_the_only_issuer_need_not_be_named(table: Table) -> None:
    """Of several, one must be; the sentence lists them."""
    broker = table.desk().broker("https://b.example.org", None)
    assert choose_issuer(None, broker) == "cms"
    assert choose_issuer("atlas", broker) == "atlas"
    table.broker.issuers = {"atlas": ["default"], "cms": ["default"]}
    with pytest.raises(Malformed, match="several issuers: atlas, cms"):
        choose_issuer(None, broker)


def test_a_folder_that_cannot_be_read_is_not_taken_for_no_login(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logging in again would not mend it."""
    table.log_in()

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(LocalFileUnfit, match="leases cannot be read"):
        choose_login(None, None, table.environ)
