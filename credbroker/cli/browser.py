"""Opens the page of a login in the person's own browser, where there is one on this screen.

Over SSH, and where there is no display, none is opened: it would be on another screen, or a text
browser in the very terminal that shows the code. Whatever the browser says of itself goes nowhere.
Only pages of the web are opened: other addresses are files, options of a browser, or other programs'.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Callable, Dict, Mapping

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk

Open = Callable[[str, Mapping[str, str]], None]
"""Opens an address in a browser, in this environment, without waiting for it."""

_ELSEWHERE = ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_TERMINAL = "TERM"
_OPEN = "import sys, webbrowser; webbrowser.open(sys.stdin.read())"


def is_here(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """True if a browser that is opened now is seen by who sits at the terminal."""
    if any(environ.get(name) for name in _ELSEWHERE):
        return False
    return platform == "darwin" or any(environ.get(name) for name in _DISPLAYS)


def is_page(address: str) -> bool:
    """True for an address of the web, which a browser shows and nothing more."""
    return address.startswith(("https://", "http://"))


def open_if_seen(address: str, desk: Desk) -> None:
    """Open `address` if it is a page, and who sits at the terminal would see it; they are told so."""
    if desk.err.isatty() and is_here(desk.environ) and is_page(address):
        desk.say("Your browser is being told to open it.\n")
        desk.open_page(address, desk.environ)


def open_page(address: str, environ: Mapping[str, str]) -> None:
    """Have Python's `webbrowser` open `address`; what comes of it is not waited for.

    Without the variable TERM it knows no text browsers, and without a terminal none can run.
    """
    import subprocess  # which the commands that open nothing need not load

    around: Dict[str, str] = {name: value for name, value in environ.items() if name != _TERMINAL}
    with contextlib.suppress(OSError):  # the address is on the terminal all the same
        opening = subprocess.Popen(  # noqa: S603 - Python itself; the address goes in by a pipe
            [sys.executable, "-I", "-S", "-c", _OPEN],
            env=around,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert opening.stdin is not None
        with opening.stdin as page:
            page.write(address.encode())
        opening.returncode = 0  # nobody waits for it, and Python need not warn of that
