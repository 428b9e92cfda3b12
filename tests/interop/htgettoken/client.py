"""A person at a login node with the unmodified htgettoken, and the browser that goes with it.

- Each person has a home of their own: vault token, bearer token and credkey lie there.
- The client gets a terminal only where a login by browser is meant; it writes line by line to nothing else.
- All that it printed is kept in `heard`.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.interop.htgettoken.browser import Browser
from tests.interop.htgettoken.issuer import password_of
from tests.interop.htgettoken.site import ISSUER
from tests.interop.htgettoken.terminal import Terminal
from tests.interop.site import bare_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.htgettoken.site import Site

_ADDRESS = re.compile(r"Complete the authentication at:\n\s+(https://\S+)")
_CODE = re.compile(r"When prompted, enter code (\S+)")
# The client gives up by itself after two minutes of sleeping.
LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a command that has ended said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Both streams."""
        return self.out + self.err


class Shell:
    """One person's home and commands.

    Attributes:
        name: Who lives here, and logs in at the issuer.
        vault_token: Where the client keeps its vault token.
        bearer_token: Where it puts the bearer token.
        server: What is typed as the vault server.
        heard: All that its commands printed.
        browsers: Every browser that was opened here.
        environment: What its commands find in theirs.
    """

    def __init__(self, site: Site, name: str, commands: Path) -> None:
        """Move in, with the client's `commands` at hand; nobody is logged in."""
        self.name, self._site = name, site
        self.folder = site.folder / "homes" / f"{name}-{len(site.people)}"
        self.folder.mkdir(mode=0o700)
        site.people.append(self)
        self.vault_token, self.bearer_token = self.folder / "vt", self.folder / "bt"
        self.server = f"localhost:{site.port}"
        self.heard: list[str] = []
        self.browsers: list[Browser] = []
        self._client: subprocess.Popen[bytes] | None = None
        self.environment = {
            **bare_environment(),
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "BEARER_TOKEN_FILE": str(self.bearer_token),
            "KRB5CCNAME": f"FILE:{self.folder}/no-tickets",
            "SSH_CLIENT": "127.0.0.1 1 2",
        }
        self.environment["PATH"] = f"{commands}:{self.environment['PATH']}"

    def options(self, *more: str, issuer: str = ISSUER) -> tuple[str, ...]:
        """Return what is typed with every command, and after it `more`."""
        where = ("-a", self.server, "-i", issuer)
        kept = (f"--cafile={self._site.ca_file}", f"--capath={self.folder}")
        return (*where, *kept, f"--vaulttokenfile={self.vault_token}", *more)

    def run(self, *more: str, issuer: str = ISSUER, piped: str | None = None) -> Said:
        """Type htgettoken where there is no terminal, and wait for its end."""
        return self.type("htgettoken", *self.options(*more, issuer=issuer), piped=piped)

    def type(self, *words: str, piped: str | None = None) -> Said:
        """Type any command of the client's and wait for its end."""
        ended = subprocess.run(
            words,
            input=piped or "",
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        self.heard += [ended.stdout, ended.stderr]
        return Said(ended.returncode, ended.stdout, ended.stderr)

    def log_in(self, *more: str, issuer: str = ISSUER, piped: bool = False) -> Said:
        """Type htgettoken at a terminal, follow its address in a browser, and wait for its end.

        What it says is on the terminal, and in `Said.err`; but `piped` keeps standard output apart.
        """
        return self.log_in_by(self.confirm, *more, issuer=issuer, piped=piped)

    def log_in_by(
        self,
        person: Callable[[str, str], object],
        *more: str,
        issuer: str = ISSUER,
        piped: bool = False,
        patience: float = LONGEST_SECONDS,
    ) -> Said:
        """Log in; `person` is given the address and the code that the terminal shows.

        After `patience` seconds the client is ended as by a person who gives up.
        """
        with Terminal() as terminal:
            child = subprocess.Popen(
                ["htgettoken", *self.options(*more, issuer=issuer)],
                stdin=terminal.inside,
                stdout=subprocess.PIPE if piped else terminal.inside,
                stderr=terminal.inside,
                env=self.environment,
                start_new_session=True,
            )
            self._client = child
            try:
                self._answer(child, terminal, person)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(patience)
            finally:
                child.kill()
                out, _ = child.communicate()
        said = Said(child.returncode, (out or b"").decode(), terminal.text)
        self.heard += [said.out, said.err]
        return said

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Hold the client that logs in, between two of its requests, for as long as the block lasts."""
        assert self._client is not None
        self._client.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._client.send_signal(signal.SIGCONT)

    def confirm(self, url: str, code: str) -> None:
        """Do in the browser what the pages ask for."""
        self.browse(code=code, user_code=code).log_in(url)

    def browse(self, **typed: str) -> Browser:
        """Open a browser whose person knows their own password, and types what is said here."""
        known = {"name": self.name, "password": password_of(self.name)}
        browser = Browser(self._site.ca_file, {**known, **typed})
        self.browsers.append(browser)
        return browser

    def forget(self) -> None:
        """Remove both tokens, as the client's own command does."""
        self.vault_token.unlink(missing_ok=True)
        self.bearer_token.unlink(missing_ok=True)

    def token(self) -> str:
        """Return the bearer token that the client put down."""
        return self.bearer_token.read_text().strip()

    def token_of_vault(self) -> str:
        """Return the vault token that the client keeps: its lease here."""
        return self.vault_token.read_text().strip()

    def claims(self) -> dict[str, Any]:
        """Return what the bearer token says, unchecked."""
        part = self.token().split(".")[1]
        return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))

    def _answer(
        self,
        child: subprocess.Popen[bytes],
        terminal: Terminal,
        person: Callable[[str, str], object],
    ) -> None:
        def shown() -> tuple[str, str] | bool:
            address, code = _ADDRESS.search(terminal.text), _CODE.search(terminal.text)
            if address and code:
                return address[1], code[1]
            return child.poll() is not None

        found = self._site.until(shown, "htgettoken showed no address")
        if isinstance(found, tuple):
            person(*found)
