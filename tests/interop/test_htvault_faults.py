"""Faults met by the unmodified htgettoken: what a person sees, its exit code, what stays.

- Each row of the table has a site of its own, where Ada has logged in before anything goes wrong.
- Whatever happens, her vault token and her bearer token are there afterwards, each the same or newer.
- No refresh token is anywhere that clients, browsers and logs showed.
- The page on compatibility has the same table; a test holds the two together.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.issuer.faults import HTML_BODY, Endpoint, Slow, grant_type, oauth_error
from credbroker.issuers.metadata import THERE_SECONDS
from tests.house.test_docs_facts import DOCS, rows
from tests.interop.htgettoken.browser import LoginFailedError
from tests.interop.htgettoken.client import Shell
from tests.interop.htgettoken.running import running
from tests.interop.htgettoken.site import GROUP_ROLE, ISSUER, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer
    from tests.interop.htgettoken.client import Said

pytest_plugins = ["tests.interop.htgettoken.fixtures"]
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

SILENT = ("-v", "--nooidc", "--nokerberos", "--nossh")
BROWSER = ("--nokerberos", "--nossh")
# More than is left of a token's life after a few seconds, and no more than a new one has.
NEW = ("--minsecs=3598",)
REFRESH, CODE = grant_type("refresh_token"), grant_type("authorization_code")


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes:
        name: What went wrong, as the page says it.
        story: Brings it about, types the command and returns what it said.
        code: The exit code.
        sees: What is on the terminal, as the page says it.
    """

    name: str
    story: Callable[[Site, Shell], Said]
    code: int
    sees: str


def read_while_issuer_is_down(site: Site, ada: Shell) -> Said:
    """The token at hand is served."""
    site.issuer.call(lambda dev: dev.go_dark())
    return ada.run(*SILENT)


def renew_while_issuer_is_down(site: Site, ada: Shell) -> Said:
    """More is asked for than the token at hand has left."""
    site.wait(3.0)
    site.issuer.call(lambda dev: dev.go_dark())
    return ada.run(*SILENT, *NEW)


def renew_while_issuer_takes_12_s(site: Site, ada: Shell) -> Said:
    """The first read is answered before the client gives up; a later one has the new token."""
    site.wait(3.0)
    site.issuer.change(lambda dev: dev.faults.on(Endpoint.TOKEN, Slow(12), only=REFRESH))
    first = ada.run(*SILENT, *NEW)
    site.wait(5.0)
    assert ada.run(*SILENT, "--minsecs=3580").code == 0
    return first


def renew_while_issuer_shows_a_page(site: Site, ada: Shell) -> Said:
    """A proxy before it answers 502 in HTML."""
    site.wait(3.0)
    site.issuer.change(lambda dev: dev.faults.on(Endpoint.TOKEN, HTML_BODY, only=REFRESH))
    return ada.run(*SILENT, *NEW)


def renew_after_the_grant_died(site: Site, ada: Shell) -> Said:
    """The issuer says that the refresh token is no longer good."""
    dead = oauth_error("invalid_grant", "Refresh token is revoked.")
    site.wait(3.0)
    site.issuer.change(lambda dev: dev.faults.on(Endpoint.TOKEN, dead, times=None, only=REFRESH))
    return ada.run(*SILENT, *NEW)


def read_while_vault_is_down(site: Site, ada: Shell) -> Said:
    """Nothing is asked of it."""
    site.openbao.kill()
    return ada.run(*SILENT)


def read_while_broker_is_down(site: Site, ada: Shell) -> Said:
    """Nobody listens."""
    site.kill_broker()
    return ada.run(*SILENT)


def broker_restarts_while_somebody_logs_in(site: Site, ada: Shell) -> Said:
    """Killed when the address is on the terminal, there again before the client polls."""

    def restart_and_confirm(url: str, code: str) -> None:
        with ada.suspended():
            site.kill_broker()
            site.start_broker()
        ada.confirm(url, code)

    return ada.log_in_by(restart_and_confirm, *BROWSER, "--vaulttokeninfile=/nowhere")


def log_in_while_issuer_is_down(site: Site, ada: Shell) -> Said:
    """For longer than an answer counts; nobody is sent to a browser in vain."""
    site.issuer.call(lambda dev: dev.go_dark())
    site.wait(THERE_SECONDS)
    return log_in_without_an_address(ada)


def log_in_while_issuer_takes_12_s(site: Site, ada: Shell) -> Said:
    """To exchange the code that the browser brought back."""
    site.issuer.change(lambda dev: dev.faults.on(Endpoint.TOKEN, Slow(12), only=CODE))
    return log_in(ada)


def log_in_while_vault_is_down(site: Site, ada: Shell) -> Said:
    """Nobody is sent to a browser in vain."""
    site.openbao.kill()
    return log_in_without_an_address(ada)


def vault_restarts_while_somebody_logs_in(site: Site, ada: Shell) -> Said:
    """Killed when the address is on the terminal, there again when the browser opens it."""

    def restart_and_confirm(url: str, code: str) -> None:
        site.openbao.kill()
        site.wait(4.0)
        site.openbao.start()
        ada.confirm(url, code)

    return ada.log_in_by(restart_and_confirm, *BROWSER, "--vaulttokeninfile=/nowhere")


def read_until_contained(site: Site, ada: Shell) -> Said:
    """An operator ends all leases of the person; reads go on until it holds."""
    site.admin("contain", "person", f"{ISSUER}/ada", "--yes")
    return site.until(
        lambda: one if (one := ada.run(*SILENT)).code else None, "a contained person could read"
    )


def read_with_a_revoked_lease(site: Site, ada: Shell) -> Said:
    """It was ended by its owner elsewhere."""
    assert site.ask("POST", "/v1/auth/token/revoke-self", ada.token_of_vault()) == 204
    return ada.run(*SILENT)


def read_with_a_vault_token_of_another_server(site: Site, ada: Shell) -> Said:
    """One file holds the vault tokens of all servers."""
    ada.vault_token.write_text("hvs.of-another-server\n")
    return ada.run(*SILENT)


def read_in_a_role_nobody_logged_in_to(site: Site, ada: Shell) -> Said:
    """The vault token is good, but for another role."""
    return ada.run(*SILENT, "-r", GROUP_ROLE, "--credkey=ada")


def read_after_a_logout(site: Site, ada: Shell) -> Said:
    """The grant was deleted from another host."""
    stored = "/v1/secret/oauth/creds/community/ada:default"
    assert site.ask("DELETE", stored, ada.token_of_vault()) == 204
    return ada.run(*SILENT)


def type_a_wrong_code_three_times(site: Site, ada: Shell) -> Said:
    """Somebody who does not see the terminal tries."""

    def guess(url: str, code: str) -> None:
        browser = ada.browse(user_code="BBBB-BBBB", code="BBBB-BBBB")
        for _ in range(3):
            page = browser.see(url)
            if page.action is not None:
                browser.submit(page)

    return ada.log_in_by(guess, *BROWSER, "--vaulttokeninfile=/nowhere", patience=30.0)


def start_too_many_logins(site: Site, ada: Shell) -> Said:
    """From one address, faster than people do."""
    asked = {"role": "default", "client_nonce": "n" * 43, "redirect_uri": site.callback(ISSUER)}
    begin = f"/v1/auth/oidc-{ISSUER}/oidc/auth_url"
    statuses, over = set[int](), threading.Event()

    def begin_over_and_over() -> None:
        while not over.is_set():
            statuses.add(site.ask("POST", begin, body=asked))

    with ThreadPoolExecutor() as hands:
        for _ in range(2):
            hands.submit(begin_over_and_over)
        try:
            site.until(lambda: 429 in statuses, "no login was refused")
            said = log_in_until_refused(ada)
        finally:
            over.set()
    assert statuses == {200, 429}
    return said


def log_in_until_refused(ada: Shell) -> Said:
    """Try again if the client slipped in between two of the others: its browser is refused then."""
    for _ in range(10):
        with contextlib.suppress(LoginFailedError):
            return log_in(ada)
    raise AssertionError("the client's own request was never refused")


def log_in_without_an_address(ada: Shell) -> Said:
    """Log in where that fails before the client shows where to go."""
    said = log_in(ada)
    assert "Complete the authentication" not in said.all
    return said


def log_in(ada: Shell) -> Said:
    """Log in anew, though there is a vault token."""
    return ada.log_in(*BROWSER, "--vaulttokeninfile=/nowhere")


FAULTS = [
    Fault("the issuer is down; the token at hand is long enough", read_while_issuer_is_down, 0, ""),
    Fault(
        "the issuer is down; a longer token is wanted",
        renew_while_issuer_is_down,
        1,
        "The issuer does not answer.",
    ),
    Fault(
        "the issuer takes 12 s for a refresh",
        renew_while_issuer_takes_12_s,
        1,
        "The issuer is slow; its answer is still being waited for.",
    ),
    Fault(
        "the issuer answers a refresh with a page of HTML",
        renew_while_issuer_shows_a_page,
        1,
        "A refresh was cut off and may have used up the refresh token.",
    ),
    Fault(
        "the issuer calls the refresh token dead",
        renew_after_the_grant_died,
        1,
        "The issuer no longer accepts this login.",
    ),
    Fault(
        "the issuer is down when a login begins",
        log_in_while_issuer_is_down,
        1,
        "The issuer does not answer.",
    ),
    Fault("the issuer takes 12 s for a login", log_in_while_issuer_takes_12_s, 0, ""),
    Fault(
        "OpenBao is down when a login begins",
        log_in_while_vault_is_down,
        1,
        "OpenBao/Vault did not answer in time.",
    ),
    Fault(
        "OpenBao is killed and started during a login", vault_restarts_while_somebody_logs_in, 0, ""
    ),
    Fault("OpenBao is down; there is a token at hand", read_while_vault_is_down, 0, ""),
    Fault("the broker is down", read_while_broker_is_down, 1, "Connection refused"),
    Fault(
        "the broker is killed and started between two polls of a login",
        broker_restarts_while_somebody_logs_in,
        0,
        "",
    ),
    Fault("the lease was revoked", read_with_a_revoked_lease, 1, "permission denied"),
    Fault("an operator contained the person", read_until_contained, 1, "permission denied"),
    Fault(
        "the vault token is another server's",
        read_with_a_vault_token_of_another_server,
        1,
        "This vault token is not one of this broker's.",
    ),
    Fault(
        "nobody logged in in that role",
        read_in_a_role_nobody_logged_in_to,
        1,
        "This lease does not lead to what the path names.",
    ),
    Fault("the login was deleted", read_after_a_logout, 1, "This login was ended by a logout."),
    Fault(
        "a wrong code is typed three times",
        type_a_wrong_code_three_times,
        1,
        "A wrong code was entered three times.",
    ),
    Fault(
        "too many logins are begun from one address", start_too_many_logins, 1, "Too many requests"
    ),
]


@pytest.fixture
def site(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, openbao: OpenBaoServer
) -> Iterator[Site]:
    """A site of this test's own."""
    few = {"per_address_per_second": 1, "per_address_burst": 20}
    with running(Site(tmp_path_factory.mktemp("faulty"), authority, openbao, limits=few)) as site:
        yield site


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_and_deletes_nothing(site: Site, htgettoken: Path, fault: Fault) -> None:
    """The words on the terminal, the exit code, and both tokens still there."""
    ada = Shell(site, "ada", htgettoken)
    said = ada.log_in(*BROWSER)
    assert said.code == 0, said.all
    ends = ada.claims()["exp"]
    said = fault.story(site, ada)
    assert said.code == fault.code, said.all
    assert fault.sees in said.all
    assert ada.claims()["exp"] >= ends
    assert ada.token_of_vault()


def test_the_page_has_the_table_of_faults() -> None:
    """In the same order and words."""
    stated = rows(DOCS / "htvault-compatibility.md", "When something is wrong")
    assert stated == [[one.name, one.sees or "the token", str(one.code)] for one in FAULTS]
