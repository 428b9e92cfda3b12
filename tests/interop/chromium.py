"""Debian's Chromium, driven as a person would use it: by chromedriver, over the WebDriver protocol.

- It runs without a window, with a profile of its own, and reaches nothing but this machine.
- What it asked for and what its console said is kept, to be looked through.
- Both programs are ended by the ids of what was started here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Self
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_SECONDS = 40.0
_POLL_SECONDS = 0.02
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # as the WebDriver standard, section 12.1, has it
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
_NO_SCRIPTS = {"profile.managed_default_content_settings.javascript": 2}


def missing_program() -> str | None:
    """Return a sentence about what has to be installed first, or None."""
    for program, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver")):
        if shutil.which(program) is None:
            return f"{program} is missing: install the Debian packages chromium and {package}."
    return None


class Chromium:
    """One person's browser.

    Attributes:
        asked_for: Every address that was asked for, in order, once `look_back` was called.
        console: What the console said, likewise.
    """

    def __init__(self, profile: Path, *, scripts: bool = True) -> None:
        """Keep cookies in `profile`; without `scripts` no page may run any."""
        self._profile, self._scripts = profile, scripts
        self._clock = SystemClock()
        self._open = build_opener(ProxyHandler({})).open
        self.asked_for: list[str] = []
        self.console: list[str] = []

    def __enter__(self) -> Self:
        """Start it."""
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self._profile)}, start_new_session=True,
        )  # fmt: skip
        try:
            assert self._driver.stdout is not None
            said = iter(self._driver.stdout.readline, "")
            port = next(found[1] for one in said if (found := re.search(r"on port (\d+)\.", one)))
            self._place = f"http://127.0.0.1:{port}"
            session = self._ask("POST", "/session", {"capabilities": self._wanted()})
            self._place += f"/session/{session['sessionId']}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, with all that it started."""
        os.killpg(self._driver.pid, signal.SIGKILL)
        self._driver.communicate()

    def go(self, url: str) -> None:
        """Open an address; returns when the page is there."""
        self._ask("POST", "/url", {"url": url})

    def type(self, field: str, text: str) -> None:
        """Type into the first field that this CSS selector finds."""
        self._ask("POST", f"/element/{self._find(field)}/value", {"text": text})

    def press(self, button: str) -> None:
        """Press the first button, or follow the first link; returns when a page it leads to is there."""
        page = self._find("html")
        self._ask("POST", f"/element/{self._find(button)}/click", {})
        ends = self._clock.elapsed() + ANSWER_SECONDS
        while self._is_there(page):
            assert self._clock.elapsed() < ends, f"{button} leads nowhere from {self.title!r}"
            self._clock.block(_POLL_SECONDS)

    @property
    def title(self) -> str:
        """What the page calls itself."""
        return str(self._ask("GET", "/title"))

    @property
    def text(self) -> str:
        """What a person reads on the page."""
        return str(self._ask("GET", f"/element/{self._find('body')}/text"))

    @property
    def source(self) -> str:
        """The page as it is written."""
        return str(self._ask("GET", "/source"))

    def style(self, element: str, name: str) -> str:
        """Return how something is shown."""
        return str(self._ask("GET", f"/element/{self._find(element)}/css/{name}"))

    def look_back(self) -> None:
        """Take in what was asked for and said since the last time."""
        self.console += [
            one["message"] for one in self._ask("POST", "/se/log", {"type": "browser"})
        ]
        for entry in self._ask("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked_for.append(message["params"]["request"]["url"])

    def _is_there(self, element: str) -> bool:
        try:
            self._ask("GET", f"/element/{element}/name")
        except HTTPError as gone:
            with gone:
                return False
        return True

    def _find(self, selector: str) -> str:
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])

    def _wanted(self) -> dict[str, object]:
        options = {
            "binary": shutil.which("chromium"),
            "args": [*_FLAGS, f"--user-data-dir={self._profile}"],
            "prefs": {} if self._scripts else _NO_SCRIPTS,
        }
        return {
            "alwaysMatch": {
                "browserName": "chrome",
                "acceptInsecureCerts": True,  # the test's own authority is in nobody's list
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }
        }

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        asked = Request(self._place + path, content, method=method)
        with self._open(asked, None, ANSWER_SECONDS) as answer:
            return json.loads(answer.read())["value"]
