"""`credbroker condor-storer`, run as `condor_submit` runs it, with HTCondor's tools as programs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import LoginNeeded, Malformed
from credbroker.edge.storer import command
from credbroker.edge.storer.tools import NotStored
from credbroker.wire.native import LOGINS
from tests.fakes.condor_config import condor_settings
from tests.fakes.condor_tools import CondorTools

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table

pytestmark = pytest.mark.slow  # each starts HTCondor's tools, several times


@pytest.fixture
def condor(table: Table) -> CondorTools:
    """The tools on the person's path, configured as the page for access points shows."""
    tools = CondorTools(table.folder / "condor", condor_settings())
    table.environ["PATH"] = f"{tools.bin}{os.pathsep}{os.defpath}"
    table.err.is_terminal = True
    return tools


def with_credmon(table: Table, condor: CondorTools) -> None:
    """Have a credmon serve whenever somebody waits."""
    for second in range(1, 60):
        table.clock.after(second, condor.serve)


def test_a_first_submit_logs_in_where_htcondor_says_and_stores(
    table: Table, condor: CondorTools
) -> None:
    """With the broker's usual port; the secret is in the credd and in nothing that was said."""
    with_credmon(table, condor)
    assert table.run(command, "-v", "cms&handle=h&scopes=storage.read:/a") == 0
    assert {address for address, _ in table.asked} == {"https://broker.example.org:8200"}
    stored = condor.stored()
    assert set(stored) == {"cms", "cms_h"}
    said = table.said()
    assert "Stored cms_h at " in said
    assert stored["cms"]["vault_token"] not in said + table.answered() + json.dumps(condor.calls())


def test_a_credmon_that_is_absent_is_told_and_the_submit_ends(
    table: Table, condor: CondorTools
) -> None:
    """After fifteen seconds; the job would have been put on hold."""
    table.log_in()
    begun = table.clock.elapsed()
    with pytest.raises(NotStored, match="no token was made of it in 15 s"):
        table.run(command, "cms")
    assert 15 <= table.clock.elapsed() - begun < 17


def test_nobody_is_asked_under_dagman_or_to_check(table: Table, condor: CondorTools) -> None:
    """Though there is a terminal."""
    assert table.run(command, "--check", "cms") == 4
    table.environ["_CONDOR_DAGMAN_LOG"] = "a.dagman.out"
    with pytest.raises(LoginNeeded) as needed:
        table.run(command, "cms")
    assert needed.value.remedy == "Log in with: credbroker login cms"
    assert (table.broker.count(LOGINS), condor.calls()) == (0, [])


@pytest.mark.parametrize(
    ("settings", "environ", "address"),
    [
        (
            {"SEC_CREDENTIAL_GETTOKEN_OPTS": "--minsecs 5 -a b.example.org"},
            {},
            "b.example.org:8200",
        ),
        ({"SEC_CREDENTIAL_VAULT_STORER_OPTS": "-v -ab.example.org:1"}, {}, "b.example.org:1"),
        (
            {"SEC_CREDENTIAL_GETTOKEN_OPTS": None},
            {"HTGETTOKENOPTS": "--vaultserver=https://b.example.org"},
            "b.example.org:8200",
        ),
        ({}, {"CREDBROKER_URL": "https://b.example.org:2"}, "b.example.org:2"),
    ],
)
def test_the_broker_of_a_first_login_is_found(
    table: Table,
    condor: CondorTools,
    settings: dict[str, str | None],
    environ: dict[str, str],
    address: str,
) -> None:
    """In HTCondor's settings, or in a person's own."""
    condor.configure(condor_settings(TRUSTED_VAULT_HOSTS=None, **settings))
    table.environ.update(environ)
    with_credmon(table, condor)
    assert table.run(command, "cms") == 0
    assert table.asked[0][0] == f"https://{address}"


def test_where_no_broker_is_known_it_is_asked_for(table: Table, condor: CondorTools) -> None:
    """Settings that cannot be read name none."""
    condor.configure(condor_settings(SEC_CREDENTIAL_GETTOKEN_OPTS="-a 'unclosed"))
    with pytest.raises(Malformed, match="not said which broker"):
        table.run(command, "cms")


def test_other_kinds_of_storing_are_refused(table: Table, condor: CondorTools) -> None:
    """HTCondor says what kind it wants."""
    table.environ["CONDOR_CREDENTIAL_STORER_MODE"] = "pelican"
    with pytest.raises(Malformed, match="vault, and nothing else"):
        table.run(command, "cms")


def test_a_time_may_be_stated_by_option_or_submit_file(table: Table, condor: CondorTools) -> None:
    """The longest counts."""
    table.log_in()
    with_credmon(table, condor)
    for arguments in (
        ("--for", "2d", "cms"),
        ("cms&options=for=1h", "cms&handle=h&options=for=2d"),
    ):
        with pytest.raises(Exception, match="may need it until 2026-06-03"):
            table.run(command, *arguments)
    assert table.run(command, "--for", "2h", "cms&options=--credkey=x") == 0
    assert "--credkey=x of cms does nothing here" in table.said()
