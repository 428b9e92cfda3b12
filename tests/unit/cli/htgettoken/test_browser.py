"""A login by browser: what a person sees, how long is waited, what is asked meanwhile."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.htgettoken import browser
from credbroker.cli.htgettoken.browser import LOGIN_SECONDS, log_in_by_browser
from credbroker.cli.htgettoken.options import parse
from credbroker.client.vault_server import VaultServer
from credbroker.domain.errors import BrokerUnreachable, LoginExpired, NotAllowed
from tests.fakes.clock import FakeClock
from tests.fakes.htvault import NEW_VAULT_TOKEN, answer, by_browser, refusal
from tests.unit.cli.htgettoken.conftest import AUTH_URL, POLL

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.client.vault_server import LoggedIn
    from tests.unit.cli.htgettoken.conftest import Person

BEGINNING = FakeClock().elapsed()


def log_in(person: Person, *more: str) -> LoggedIn:
    """Log in as htgettoken would be told to."""
    options = parse([*person.words, *more], {}, lambda _: "")
    return log_in_by_browser(options, VaultServer(person.server, lambda _: None), person.desk())


def test_address_and_code_are_shown_and_all_else_goes_back(person: Person) -> None:
    """Even if nothing else is to be said; the server's own fields come back with each poll."""
    assert log_in(person, "-q").vault_token.reveal() == NEW_VAULT_TOKEN
    begun = person.server.body(AUTH_URL)
    assert begun["role"] == "default"
    redirect = "https://vault.example.org:8200/v1/auth/oidc-cms/oidc/callback"
    assert begun["redirect_uri"] == redirect
    assert person.server.body(POLL) == {
        "state": "s", "more": "m", "client_nonce": begun["client_nonce"],
    }  # fmt: skip
    seen = "\nComplete the authentication at:\n    https://idp.example.org/x\n"
    assert person.err.getvalue().startswith(seen + "When prompted, enter code ABCD\n")
    assert person.clock.elapsed() - BEGINNING == 6.0


def test_the_service_is_where_the_browser_goes_back_to(person: Person) -> None:
    """Whichever server of it is asked."""
    log_in(person, "--vaultalias=service.example.org")
    redirect = str(person.server.body(AUTH_URL)["redirect_uri"])
    assert redirect.startswith("https://service.example.org:8200/v1/")


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    [
        (refusal(400, "slow_down"), 3 + 8),
        (BrokerUnreachable("Away."), 3 + 8),
        (refusal(503, "sealed"), 3 + 8),
        (refusal(400, "authorization_pending"), 6),
    ],
)
def test_patience_is_had_with_the_server(person: Person, trouble: Exception, seconds: int) -> None:
    """It is asked less often, and the login goes on."""
    person.server.plan(POLL, trouble, by_browser())
    log_in(person)
    assert person.clock.elapsed() - BEGINNING == seconds


def test_a_no_ends_it_with_the_servers_words(person: Person) -> None:
    """At once."""
    person.server.plan(POLL, refusal(400, "authorization failed: access_denied"))
    with pytest.raises(NotAllowed, match="access_denied"):
        log_in(person)
    assert person.server.count(POLL) == 1


def test_nobody_waits_for_ever(person: Person) -> None:
    """Where the server does not say how often it may be asked, it is asked every five seconds."""
    person.server.plan(AUTH_URL, answer({"data": {"auth_url": "https://idp", "state": "s"}}))
    person.server.plan(POLL, refusal(400, "authorization_pending"))
    with pytest.raises(LoginExpired):
        log_in(person)
    assert person.server.count(POLL) == LOGIN_SECONDS / 5


@pytest.mark.parametrize("url", ["", None, "-x", "javascript:alert(1)"])
def test_what_is_no_address_is_not_opened(person: Person, url: str | None) -> None:
    """Nor shown."""
    person.server.plan(AUTH_URL, answer({"data": {"auth_url": url, "state": "s"}}))
    with pytest.raises(NotAllowed, match="no address"):
        log_in(person, "--web-open-command=/bin/false")


def program(folder: Path, code: int) -> Path:
    """Return a browser that notes how it was called."""
    made = folder / "browser"
    made.write_text(f'#!/bin/sh\necho "$1 $BROWSER" > {folder}/called\nexit {code}\n')
    made.chmod(stat.S_IRWXU)
    return made


def test_the_browser_is_opened_and_its_failure_told(person: Person, tmp_path: Path) -> None:
    """One that shows itself in the terminal is not meant, where there is no screen."""
    log_in(person, f"--web-open-command={program(tmp_path, 0)}")
    assert (tmp_path / "called").read_text() == "https://idp.example.org/x no-browser\n"
    assert "Couldn't open" not in person.err.getvalue()
    for failing in (program(tmp_path, 1), tmp_path / "missing"):
        person.server.plan(POLL, by_browser())
        log_in(person, f"--web-open-command={failing}")
        assert f"Couldn't open web browser with '{failing}'" in person.err.getvalue()


@pytest.mark.parametrize("interval", ["inf", "1e9", 3600])
def test_a_server_that_is_in_no_hurry_keeps_nobody_longer(person: Person, interval: object) -> None:
    """The last question falls on the end of the login."""
    begun = {"auth_url": "https://idp", "state": "s", "poll_interval": interval}
    person.server.plan(AUTH_URL, answer({"data": begun}))
    person.server.plan(POLL, refusal(400, "authorization_pending"))
    with pytest.raises(LoginExpired):
        log_in(person)
    assert person.clock.elapsed() - BEGINNING == LOGIN_SECONDS
    assert person.server.count(POLL) == 1


def test_a_browser_that_stays_is_not_waited_for(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some programs end when their window is closed; the login goes on meanwhile."""
    monkeypatch.setattr(browser, "_OPENING_SECONDS", 0.05)
    staying = tmp_path / "browser"
    staying.write_text(f"#!/bin/sh\nread line < {tmp_path}/never\n")
    staying.chmod(stat.S_IRWXU)
    os.mkfifo(tmp_path / "never")
    try:
        log_in(person, f"--web-open-command={staying}")
    finally:
        os.close(os.open(tmp_path / "never", os.O_RDWR | os.O_NONBLOCK))
    assert "Couldn't open" not in person.err.getvalue()


def test_a_page_is_helped_to_as_at_a_login_of_credbroker(person: Person) -> None:
    """A QR code at a terminal that can show it, and the browser on this screen."""
    person.sits_at_a_terminal()
    del person.environ["SSH_CLIENT"]
    person.environ["DISPLAY"] = ":0"
    log_in(person)
    assert "█" in person.err.getvalue()
    assert person.pages == ["https://idp.example.org/x"]
    log_in(person, "--web-open-command=")
    assert len(person.pages) == 1
