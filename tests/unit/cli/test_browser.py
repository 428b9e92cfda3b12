"""A browser is opened on the person's own screen, and says nothing into the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import browser
from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "https://issuer.example.org/device?user_code=ABCD-EFGH"
PATIENCE_SECONDS = 20.0


@pytest.mark.parametrize(
    ("environ", "platform", "is_here"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ""}, "linux", False),
        ({}, "darwin", True),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "x"}, "linux", False),
        ({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/1"}, "linux", False),
        ({"SSH_CLIENT": "x"}, "darwin", False),
    ],
)
def test_a_screen_is_needed_and_no_ssh(
    environ: dict[str, str], platform: str, is_here: bool
) -> None:
    """A display that SSH carries along is slow, and its browser knows nobody."""
    assert browser.is_here(environ, platform) is is_here


def test_a_browser_gets_the_address_and_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it prints goes nowhere, and it cannot read what the person types."""
    opened = tmp_path / "opened"
    seen = tmp_path / "browser"
    seen.write_text(
        "#!/bin/sh\necho chatter; echo chatter >&2\n"
        f'{{ echo "$1"; echo "${{TERM-none}}"; cat; }} > {opened}.new; mv {opened}.new {opened}\n'
    )
    seen.chmod(0o755)
    environ = {"BROWSER": f"{seen} %s", "TERM": "xterm", "PATH": "/usr/bin:/bin"}
    browser.open_page(ADDRESS, environ)
    clock = SystemClock()
    until = clock.elapsed() + PATIENCE_SECONDS
    while not opened.exists() and clock.elapsed() < until:
        clock.block(0.01)
    assert opened.read_text() == f"{ADDRESS}\nnone\n"
    assert capfd.readouterr() == ("", "")


def test_a_browser_that_cannot_be_started_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is on the terminal."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    browser.open_page(ADDRESS, {})
