"""`credbroker login`: shown at once, patient, and nothing is kept before it has succeeded."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import login, qr
from credbroker.delivery import lease_file
from credbroker.domain.errors import (
    BrokerUnreachable,
    LocalFileUnfit,
    LoginDenied,
    LoginExpired,
    Malformed,
    NotFound,
    StoreUnavailable,
)
from credbroker.wire.native import LOGIN_POLL, LOGINS, StartLogin
from tests.fakes.broker import ISSUER_URL
from tests.unit.cli.conftest import BROKER_URL

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table

AT_BROKER = ("--broker", BROKER_URL)


def test_a_login_ends_with_a_lease_file_and_the_next_command(table: Table) -> None:
    """Everything is said on standard error; the lease is in its file, ready for use."""
    assert table.run(login, *AT_BROKER, "--ca-file", "/etc/ca.pem") == 0
    assert table.answered() == ""
    assert table.said() == (
        "To log in to cms in the role default, open\n"
        "\n    https://issuer.example.org/device?user_code=ABCD-EFGH\n\n"
        "and confirm this code there:\n"
        "\n    ABCD-EFGH\n\n"
        "Waiting for you, for 10 min at the most ...\n"
        "Logged in to cms as alice in the role default for 27 d, until 2026-06-28 12:00 UTC.\n"
        "Fetch a token with: credbroker token cms --role default\n"
    )
    lease = lease_file.read(lease_file.person_path(table.environ, "cms", "default"))
    assert (lease.credkey, lease.issuer_url, lease.broker, lease.ca_file) == (
        "alice",
        ISSUER_URL,
        BROKER_URL,
        "/etc/ca.pem",
    )
    assert lease.lease_token.reveal() in table.broker.leases


def test_address_and_code_are_shown_before_the_first_wait(table: Table) -> None:
    """No key press, no delay."""
    shown = []
    table.clock.after(0, lambda: shown.append(table.err.getvalue()))
    table.run(login, *AT_BROKER)
    assert "ABCD-EFGH" in shown[0]


def test_the_brokers_interval_is_obeyed(table: Table) -> None:
    """First the one of the start, then the one of each answer."""
    table.broker.approved = False
    begun = table.clock.elapsed()
    table.clock.after(32, lambda: setattr(table.broker, "approved", True))
    table.run(login, *AT_BROKER)
    assert table.broker.count(LOGIN_POLL) == 8  # after 1 s, then every 5 s: the last after 36 s
    assert table.clock.elapsed() - begun == 36


def test_an_outage_only_lengthens_the_wait(table: Table) -> None:
    """The broker away, its store away: polling goes on until the deadline."""
    table.broker.problems.extend([None, *[BrokerUnreachable("Away.")] * 3, StoreUnavailable("x")])
    assert table.run(login, "cms", *AT_BROKER) == 0


@pytest.mark.parametrize("outage", [False, True])
def test_a_login_nobody_confirms_ends_at_its_deadline(table: Table, outage: bool) -> None:
    """Nothing is left behind, whether or not the broker can say so."""
    table.broker.approved = False
    if outage:
        table.broker.problems.extend([None, *[BrokerUnreachable("Away.")] * 1000])
    begun = table.clock.elapsed()
    with pytest.raises(LoginExpired):
        table.run(login, "cms", *AT_BROKER)
    assert 600 <= table.clock.elapsed() - begun <= 601
    assert lease_file.person_paths(table.environ) == []


def test_a_refusal_of_the_person_ends_it(table: Table) -> None:
    """No is an answer."""
    table.broker.denied = True
    with pytest.raises(LoginDenied):
        table.run(login, *AT_BROKER)
    assert lease_file.person_paths(table.environ) == []


def test_breaking_it_off_leaves_nothing(table: Table) -> None:
    """^C while waiting: no lease, no probe."""
    table.broker.approved = False

    def stop() -> None:
        raise KeyboardInterrupt

    table.clock.after(10, stop)
    with pytest.raises(KeyboardInterrupt):
        table.run(login, *AT_BROKER)
    assert list(lease_file.leases_folder(table.environ).iterdir()) == []


@pytest.mark.parametrize("place", ["in the way", "full"])
def test_a_lease_that_could_not_be_kept_is_said_before_anybody_confirms(
    table: Table, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Else the person signs in, and the login is lost."""
    if place == "in the way":
        (table.folder / "state").touch()
    else:

        def refuse(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(LocalFileUnfit, match="cannot be"):
        table.run(login, "cms", *AT_BROKER)
    assert table.broker.requests == []


def test_a_new_login_replaces_the_old_lease(table: Table) -> None:
    """One file per issuer and role; another role has its own. The broker is known by now."""
    table.run(login, *AT_BROKER)
    first = lease_file.read(lease_file.person_paths(table.environ)[0])
    table.run(login)
    second = lease_file.read(lease_file.person_paths(table.environ)[0])
    assert first.lease_token != second.lease_token
    table.run(login, "cms", "--role", "production")
    assert len(lease_file.person_paths(table.environ)) == 2


def test_issuers_and_roles_can_be_listed(table: Table) -> None:
    """The list is the answer, and no login begins."""
    assert table.run(login, "--list", *AT_BROKER) == 0
    assert table.answered() == "cms: default, production\n"
    assert table.broker.count(LOGINS) == 0


def test_what_must_be_said_is_asked_for_in_a_sentence(table: Table) -> None:
    """Neither broker nor issuer is guessed."""
    with pytest.raises(Malformed, match="which broker"):
        table.run(login)
    with pytest.raises(NotFound, match="no issuer atlas"):
        table.run(login, "atlas", *AT_BROKER)


def test_a_qr_code_is_drawn_on_a_terminal_that_can_show_it(table: Table) -> None:
    """auto: terminal, wide enough. never and always mean what they say."""
    wish = {}
    for is_terminal in (False, True):
        table.err.is_terminal = is_terminal
        for said in ("auto", "always", "never"):
            table.run(login, *AT_BROKER, "--qr", said)
            wish[is_terminal, said] = "█" in table.said()
    assert wish == {
        (False, "auto"): False,
        (False, "always"): True,
        (False, "never"): False,
        (True, "auto"): True,
        (True, "always"): True,
        (True, "never"): False,
    }


def test_a_qr_code_that_cannot_be_drawn_is_no_error(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library, only somebody who insists is told."""
    monkeypatch.setattr(qr, "draw", lambda *_: None)
    table.err.is_terminal = True
    table.run(login, *AT_BROKER)
    assert "QR" not in table.said()
    table.run(login, *AT_BROKER, "--qr", "always")
    assert "segno is not installed" in table.said()


@pytest.mark.parametrize(("columns", "is_drawn"), [(80, True), (20, False)])
def test_a_qr_code_needs_room(table: Table, columns: int, is_drawn: bool) -> None:
    """Else it is of no use; who insists has it all the same."""
    table.sit_down()
    desk = dataclasses.replace(table.desk(), columns=columns)
    login.log_in(StartLogin("cms"), "auto", desk, BROKER_URL)
    assert ("█" in table.said()) is is_drawn
    login.log_in(StartLogin("cms"), "always", desk, BROKER_URL)
    assert "█" in table.said()


def test_a_qr_code_in_a_file_is_there_for_as_long_as_the_login_waits(table: Table) -> None:
    """A code that was used is of no use; neither is one of a login that was broken off."""
    picture = table.folder / "code.png"
    seen: list[bool] = []

    def look() -> None:
        seen.append(picture.exists())
        if len(seen) == 2:
            raise KeyboardInterrupt

    table.clock.after(0, look)
    assert table.run(login, *AT_BROKER, "--qr", str(picture)) == 0
    assert (seen, picture.exists()) == ([True], False)
    table.clock.after(0, look)
    with pytest.raises(KeyboardInterrupt):
        table.run(login, *AT_BROKER, "--qr", str(picture))
    assert (seen, picture.exists()) == ([True, True], False)


def test_without_the_library_a_picture_is_a_sentence(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is shown as well, so the login goes on."""
    monkeypatch.setattr(qr, "save", lambda *_: None)
    assert table.run(login, *AT_BROKER, "--qr", "code.svg") == 0
    assert "segno is not installed" in table.said()


def test_a_wish_that_cannot_be_met_begins_no_login(table: Table) -> None:
    """A picture of another kind."""
    with pytest.raises(Malformed, match=r"code\.gif"):
        table.run(login, *AT_BROKER, "--qr", "code.gif")
    assert table.broker.requests == []


@pytest.mark.parametrize(
    ("environ", "arguments", "is_opened"),
    [
        ({"DISPLAY": ":0"}, (), True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, (), True),
        ({"DISPLAY": ":0"}, ("--no-browser",), False),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, (), False),
        ({}, (), False),
    ],
)
def test_a_browser_is_opened_where_the_person_sees_it(
    table: Table, environ: dict[str, str], arguments: tuple[str, ...], is_opened: bool
) -> None:
    """Not over SSH, not without a screen; the address is printed all the same."""
    table.environ |= environ
    address = f"{ISSUER_URL}device?user_code=ABCD-EFGH"
    table.run(login, *AT_BROKER, *arguments)
    assert table.pages == []  # nobody sits there
    table.sit_down()
    table.said()
    table.run(login, *AT_BROKER, *arguments)
    assert table.pages == ([address] if is_opened else [])
    said = table.said()
    assert f"\n    {address}\n" in said
    assert ("Your browser is being told" in said) is is_opened


def test_programs_have_the_login_and_the_list_as_json(table: Table) -> None:
    """Never the lease."""
    table.run(login, *AT_BROKER, "--json")
    assert json.loads(table.answered()) == {
        "issuer": "cms",
        "issuer_url": ISSUER_URL,
        "role": "default",
        "credkey": "alice",
        "broker": BROKER_URL,
        "login_ends_at": "2026-06-28T12:00:01Z",
    }
    table.run(login, *AT_BROKER, "--list", "--json")
    assert json.loads(table.answered()) == [{"issuer": "cms", "roles": ["default", "production"]}]


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "--remote-debugging-port=1", "javascript:alert(1)", "http:x"]
)
def test_only_a_web_page_is_opened_whatever_the_broker_says(table: Table, address: str) -> None:
    """An address is a word on a browser's command line, and the desktop opens others by any program."""
    table.environ["DISPLAY"] = ":0"
    table.sit_down()
    table.broker.page = address
    table.run(login, *AT_BROKER)
    assert table.pages == []
    said = table.said()
    assert f"\n    {address}?user_code=ABCD-EFGH\n" in said
    assert "Your browser" not in said


def test_an_address_that_fits_no_code_is_no_reason_to_give_up(table: Table) -> None:
    """It is shown all the same; a picture of it is not made, and a file of another's not removed."""
    table.sit_down()
    table.broker.page = "https://issuer.example.org/" + 4000 * "x"
    picture = table.folder / "code.png"
    table.clock.after(0, lambda: picture.write_text("of another program"))
    assert table.run(login, *AT_BROKER, "--qr", str(picture)) == 0
    assert picture.read_text() == "of another program"
    assert "No QR code can be drawn" in table.said()
    assert table.run(login, *AT_BROKER) == 0
