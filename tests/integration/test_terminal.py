"""Commands at a real terminal: what a person sees there, what they type, and what is left afterwards.

And the same commands where there is no terminal, no UTF-8, or no wish for colours.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from credbroker.wire.native import LOGINS
from tests.fakes.broker import ISSUER_URL
from tests.integration.person_world import machine_in, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.person_world import Machine

pytestmark = pytest.mark.slow

ADDRESS = f"{ISSUER_URL}device?user_code=ABCD-EFGH"
ERASED = "\r\x1b[K"
COLOUR = re.compile(r"\x1b\[\d+m")
LEFT = re.compile(r"\x1b\[KWaiting for you, 9 min (\d+) s left \.\.\. ")
CAUGHT = """
trap 'echo caught; exit 9' INT
echo started
while :; do sleep 0.05; done
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with a broker, whose issuer waits for the person's yes."""
    with machine_in(tmp_path) as machine:
        machine.broker.approved = False
        yield machine


def test_a_login_shows_all_at_once_counts_down_and_cleans_up(machine: Machine) -> None:
    """Address, code and QR code before any key is pressed; the countdown's line is gone at the end."""
    screen = machine.sit_down("login", "cms")
    screen.until(f"\n    {ADDRESS}\n")
    screen.until("\n    ABCD-EFGH\n")
    screen.until("█")
    screen.until_seen(lambda shown: len(set(LEFT.findall(shown))) >= 3)
    assert machine.leases == []
    machine.broker.approved = True
    assert screen.ended() == 0, screen.shown
    last = screen.shown.rpartition(ERASED)[2]
    assert last.startswith("Logged in to cms as alice in the role default for 27 d")
    assert last.endswith("Fetch a token with: credbroker token cms --role default\n")
    assert machine.leases == ["cms+default.json"]


def test_a_narrow_terminal_has_no_qr_code(machine: Machine) -> None:
    """It would be broken into pieces; all else is there."""
    machine.broker.approved = True
    screen = machine.sit_down("login", "cms", columns=30)
    assert screen.ended() == 0
    assert ADDRESS in screen.shown
    assert "█" not in screen.shown


def test_without_utf8_the_qr_code_is_made_of_colours(machine: Machine) -> None:
    """And a name that cannot be shown is no failure."""
    machine.broker.approved = True
    plainly = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    screen = machine.sit_down("login", "cms", environ=plainly)
    assert screen.ended() == 0, screen.shown
    assert screen.shown.isascii()
    assert "\x1b[7m" in screen.shown
    machine.log_in(credkey="jürgen")
    table = machine.sit_down("status", environ=plainly)
    assert table.ended() == 0
    assert "j\\xfcrgen" in table.shown


def test_a_qr_code_can_be_a_picture(machine: Machine) -> None:
    """It is there for as long as the login waits."""
    picture = machine.folder / "code.png"
    screen = machine.sit_down("login", "cms", "--qr", str(picture))
    screen.until("Waiting for you")
    assert picture.read_bytes().startswith(b"\x89PNG")
    machine.broker.approved = True
    assert screen.ended() == 0
    assert not picture.exists()


@pytest.mark.parametrize("more", [(), ("--qr", "code.svg")])
def test_stopping_a_login_leaves_nothing(machine: Machine, more: tuple[str, ...]) -> None:
    """No lease, no picture, no half file; the line is the terminal's again."""
    more = tuple(str(machine.folder / one) if "." in one else one for one in more)
    screen = machine.sit_down("login", "cms", *more)
    screen.until("Waiting for you")
    screen.type("\x03")
    assert screen.ended() == 130
    assert screen.shown.endswith(f"{ERASED}\ncredbroker: stopped\n")
    assert machine.leases == []
    assert not (machine.folder / "code.svg").exists()


def test_a_login_that_is_refused_says_so(machine: Machine) -> None:
    """In a sentence, after the countdown's line is gone."""
    screen = machine.sit_down("login", "cms")
    screen.until("Waiting for you")
    machine.broker.denied = True
    assert screen.ended() == 4
    assert screen.shown.rpartition(ERASED)[2].startswith("credbroker: The person said no. Log in ")
    assert machine.leases == []


def test_a_browser_opens_on_the_persons_own_screen(machine: Machine) -> None:
    """And never over SSH; what it prints is not on the terminal."""
    opened, seen = machine.folder / "opened", machine.folder / "browser"
    seen.write_text(
        f'#!/bin/sh\necho chatter\necho "$1" > {opened}.new; mv {opened}.new {opened}\n'
    )
    seen.chmod(0o755)
    around = {"BROWSER": f"{seen} %s", "DISPLAY": ":0"}
    machine.broker.approved = True
    there = machine.sit_down("login", "cms", environ={**around, "SSH_TTY": "/dev/pts/1"})
    assert there.ended() == 0
    assert "browser" not in there.shown
    here = machine.sit_down("login", "cms", environ=around)
    assert here.ended() == 0
    assert "Your browser is being told to open it." in here.shown
    until(opened.exists, lambda: here.shown)
    assert opened.read_text() == f"{ADDRESS}\n"
    assert "chatter" not in here.shown


def test_without_a_terminal_a_login_is_plain_lines(machine: Machine) -> None:
    """No colours, no rewriting, no QR code, no browser; it works all the same."""
    machine.environ |= {"TERM": "xterm-256color", "DISPLAY": ":0", "BROWSER": "/bin/false"}
    machine.broker.approved = True
    done = machine.run("login", "cms")
    assert (done.returncode, done.stdout) == (0, "")
    assert "\x1b" not in done.stderr + done.stdout
    assert "█" not in done.stderr
    assert re.search(
        r"^Waiting for you, for (10|9) min.* at the most \.\.\.$", done.stderr, re.MULTILINE
    )


def test_at_a_terminal_a_token_begins_the_login_that_it_needs(machine: Machine) -> None:
    """The answer goes where it was sent, and holds the token alone: `$(credbroker token -o -)`."""
    machine.log_in()
    machine.end_login()
    answer = machine.folder / "answer"
    screen = machine.sit_down("token", "-o", "-", out=answer)
    screen.until("This lease was ended.\nTo log in to cms in the role default, open\n")
    screen.until("Waiting for you")
    machine.broker.approved = True
    assert screen.ended() == 0, screen.shown
    (given,) = machine.broker.given
    assert answer.read_text() == given.access_token.reveal() + "\n"
    assert given.access_token.reveal() not in screen.shown
    assert machine.broker.count(LOGINS) == 1


def test_at_a_terminal_status_has_colours_unless_they_are_not_wanted(machine: Machine) -> None:
    """In a pipe it has neither colours nor padding; as JSON it is the same everywhere."""
    machine.log_in()
    shown, wishes = {}, {"colours": "", "plain": "1"}
    for name, wish in wishes.items():
        screen = machine.sit_down("status", environ={"NO_COLOR": wish})
        assert screen.ended() == 0
        shown[name] = screen.shown
    assert "\x1b[32mready" in shown["colours"]
    heads = [COLOUR.sub("", one).splitlines()[0] for one in shown.values()]
    assert heads[0] == heads[1]  # columns are as wide with colours as without
    assert "\x1b" not in shown["plain"]
    piped = machine.run("status").stdout
    assert piped.splitlines()[1].split("\t")[:3] == ["cms", "default", "alice"]
    assert json.loads(machine.run("status", "--json").stdout)[0]["state"] == "ready"


def test_what_takes_longer_than_a_second_is_told_on_a_terminal(machine: Machine) -> None:
    """And the line is gone when the answer is there; in a log there is none."""
    machine.log_in()
    machine.broker.answers.clear()
    screen = machine.sit_down("status")
    screen.until(f"{ERASED}Waiting for the broker at {machine.served.url}, 1 s ... ")
    said = machine.folder / "said"
    child = machine.start("status", err=said)
    screen.until("2 s ... ")
    machine.broker.answers.set()
    assert (screen.ended(), child.wait()) == (0, 0)
    assert "ISSUER" in screen.shown.rpartition(ERASED)[2]
    assert said.read_text() == ""


def test_stopping_a_program_tells_it_once(machine: Machine) -> None:
    """^C under `exec` is the program's; its exit code is the answer, and its token is gone."""
    machine.log_in()
    screen = machine.sit_down("exec", "--", "sh", "-c", CAUGHT)
    screen.until("started\n")
    screen.type("\x03")
    assert screen.ended() == 9, screen.shown
    assert screen.shown.count("caught") == 1
    assert not list(machine.folder.glob("credbroker-exec-*"))
