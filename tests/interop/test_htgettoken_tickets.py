"""Logins by Kerberos ticket, by the unmodified client and a real KDC.

The numbers are those of htgettoken's own regression tests. A ticket opens what its person granted by
browser before; wherever it opens nothing, the client goes on to the next way to log in.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from tests.interop.htgettoken.agent import running_agent
from tests.interop.htgettoken.running import running
from tests.interop.htgettoken.site import BY_DEVICE, ISSUER, Site
from tests.kdc import REALM, Kdc, missing, running_kdc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer
    from tests.interop.htgettoken.client import Shell
    from tests.interop.htgettoken.fixtures import MoveIn

pytest_plugins = ["tests.interop.htgettoken.fixtures"]
pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing()), reason=missing() or "nothing is missing"),
]

SERVICE = "host/localhost"
ROBOT = "ada/cron/host1"
BY_TICKET = ("--nooidc", "--nossh")
BY_BROWSER = ("--nokerberos", "--nossh")


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    """A KDC that knows two people and a robot."""
    with running_kdc(tmp_path_factory.mktemp("kdc")) as kdc:
        for principal in ("ada", "bob", ROBOT):
            kdc.add_person(principal)
        yield kdc


@pytest.fixture(scope="module")
def htsite(
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    shared_openbao: OpenBaoServer,
    kdc: Kdc,
) -> Iterator[Site]:
    """A broker that takes tickets of the KDC's realm at one issuer, of another realm at the other."""
    keytab = str(kdc.add_service("broker.keytab", SERVICE))
    kerberos = [
        {"keytab_file": keytab, "realms": [REALM], "issuers": [ISSUER]},
        {"keytab_file": keytab, "realms": ["HOME.LOCAL"], "issuers": [BY_DEVICE]},
    ]
    folder = tmp_path_factory.mktemp("ticketed")
    with running(Site(folder, authority, shared_openbao, kerberos=kerberos)) as site:
        yield site


@pytest.fixture(scope="module")
def ada(move_in: MoveIn, kdc: Kdc) -> Shell:
    """Somebody with tickets, who has logged in by browser once."""
    shell = move_in("ada")
    give_tickets(shell, kdc, "ada")
    said = shell.log_in(*BY_BROWSER)
    assert said.code == 0, said.all
    return shell


def give_tickets(shell: Shell, kdc: Kdc, *principals: str) -> None:
    """Log all of these in; the last one is whose tickets are used."""
    folder = shell.folder / "tickets"
    folder.mkdir(mode=0o700, exist_ok=True)
    shell.environment |= {"KRB5_CONFIG": str(kdc.config), "KRB5CCNAME": f"DIR:{folder}"}
    for principal in principals:
        kdc.log_in(principal, f"DIR:{folder}")


def test_a_ticket_gives_a_vault_token_and_a_bearer_token(ada: Shell) -> None:
    """003: no browser is asked for; both are the owner's alone."""
    before = ada.token_of_vault()
    ada.forget()
    said = ada.run(*BY_TICKET)
    assert said.code == 0, said.all
    assert "Initializing kerberos client" in said.all
    assert ada.token_of_vault() != before
    assert ada.claims()["scope"].split()
    for path in (ada.vault_token, ada.bearer_token):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_whose_tickets_are_current_logs_in_whatever_principal_is_named(
    ada: Shell, kdc: Kdc
) -> None:
    """010: the client takes the option and does not use it; a stranger's tickets open nothing."""
    give_tickets(ada, kdc, "bob", "ada")
    ada.forget()
    said = ada.run(*BY_TICKET, f"--kerbprincipal=bob@{REALM}")
    assert said.code == 0, said.all
    ada.vault_token.write_text("hvs.of-another-server\n")
    kept = ada.token()
    give_tickets(ada, kdc, "bob")
    said = ada.run(*BY_TICKET, f"--kerbprincipal=ada@{REALM}")
    assert said.code == 1, said.all
    assert "permission denied" not in said.all
    assert ada.token() == kept
    give_tickets(ada, kdc, "ada")
    assert ada.run(*BY_TICKET).code == 0


def test_a_robot_reads_what_its_person_placed_for_it(
    move_in: MoveIn, kdc: Kdc, htsite: Site
) -> None:
    """011: first the person by browser, with the robot's tickets at hand; then those tickets alone."""
    cron = move_in("ada")
    give_tickets(cron, kdc, ROBOT)
    said = cron.log_in("--nossh", f"--credkey={ROBOT}")
    assert said.code == 0, said.all
    assert "There is no login of" in said.all
    cron.forget()
    said = cron.run(*BY_TICKET, f"--credkey={ROBOT}")
    assert said.code == 0, said.all
    assert cron.claims()["sub"] == htsite.subject("ada")


def test_a_robot_does_not_reach_its_person(ada: Shell, move_in: MoveIn, kdc: Kdc) -> None:
    """Nor does anybody else; the person's own login stays."""
    cron = move_in("ada")
    give_tickets(cron, kdc, ROBOT)
    said = cron.run(*BY_TICKET, "--credkey=ada")
    assert said.code == 1, said.all
    assert not cron.bearer_token.exists()
    assert not cron.vault_token.exists()
    assert ada.run(*BY_TICKET).code == 0


def test_a_vault_token_by_ticket_lasts_as_long_as_was_asked(ada: Shell) -> None:
    """012: a day's does not do where two are wanted, three days' does."""
    ada.forget()
    seen = []
    for more in (
        ("--vaulttokenttl=1d",),
        ("--vaulttokenttl=3d", "--vaulttokenminttl=2d"),
        ("--vaulttokenminttl=2d",),
    ):
        said = ada.run(*BY_TICKET, *more)
        assert said.code == 0, said.all
        seen.append(ada.token_of_vault())
    assert seen[0] != seen[1] == seen[2]


def test_without_a_ticket_an_ssh_key_is_tried_then_the_browser(
    move_in: MoveIn, kdc: Kdc, tmp_path: Path
) -> None:
    """The client says so and goes on; a key that was registered opens what the ticket would have."""
    bob = move_in("bob")
    bob.environment["KRB5_CONFIG"] = str(kdc.config)
    with running_agent(tmp_path) as agent:
        bob.environment |= agent
        said = bob.log_in("--credkey=bob")
        assert said.code == 0, said.all
        steps = ("Kerberos init failed", "Logging in with ssh key1 failed", "Complete the auth")
        assert [step in said.all for step in steps] == [True] * 3
        assert bob.log_in("--registerssh", "--credkey=bob").code == 0
        bob.forget()
        said = bob.run("--nooidc", "--credkey=bob")
    assert said.code == 0, said.all
    assert "Kerberos init failed" in said.all


def test_a_realm_that_is_not_listed_leads_on_to_the_browser(
    move_in: MoveIn, kdc: Kdc, htsite: Site
) -> None:
    """Also for whoever has a login there, of the same name as the ticket's."""
    bob = move_in("bob")
    give_tickets(bob, kdc, "bob")
    assert bob.log_in(*BY_BROWSER, issuer=BY_DEVICE).code == 0
    bob.forget()
    said = bob.run(*BY_TICKET, issuer=BY_DEVICE)
    assert (said.code, bob.vault_token.exists()) == (1, False), said.all
    said = bob.log_in("--nossh", issuer=BY_DEVICE)
    assert said.code == 0, said.all
    assert f"Principals of the realm {REALM} do not log in here." in said.all
    assert bob.claims()["sub"] == htsite.subject("bob")
