"""A person's home on a login node, and the credbroker commands typed there, each a real process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credbroker.domain.grants import GrantState
from tests.interop.person import Person
from tests.interop.site import DUE_SECONDS, ISSUER, ROLE, STEP_SECONDS, STORAGE, bare_environment

if TYPE_CHECKING:
    from credbroker.domain.grants import Grant
    from tests.interop.site import Site

RENEWAL_SECONDS = 5.0
# What was fetched is renewed ahead once, a moment later; after that nobody asks the issuer.
REST_SECONDS = 2 * DUE_SECONDS
_ADDRESS = re.compile(r"https://\S+user_code=\S+")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command that has ended said, and its exit code."""

    code: int
    out: str
    err: str


class Home:
    """One person's home.

    Attributes:
        name: Who lives here, and logs in at the issuer.
        folder: The home itself.
        token_file: Where programs look for the person's token.
        lease_file: Where the lease of the person's login is kept.
    """

    def __init__(self, site: Site, name: str) -> None:
        """Move in under `name`; nobody is logged in."""
        self.name = name
        self.folder = site.folder / "homes" / name
        self.folder.mkdir(mode=0o700)
        self.token_file = self.folder / f"bt_u{os.geteuid()}"
        self.lease_file = self.folder / ".local/state/credbroker/leases" / f"{ISSUER}+{ROLE}.json"
        self._site = site
        self._environment = {
            **bare_environment(),
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "CREDBROKER_URL": site.url,
            "CREDBROKER_CA_FILE": str(site.ca_file),
        }

    async def log_in(self) -> None:
        """Type `credbroker login` and confirm in the browser; the command has ended afterwards."""
        name = f"login of {self.name}"
        login = self.start(name, "login")
        log = self._site.log(name)
        shown = self._site.until(lambda: _ADDRESS.search(log.read_text()), "no address was shown")
        async with Person(self.name, self._site.ca_file) as browser:
            await browser.log_in(shown[0])
        assert login.wait(STEP_SECONDS) == 0, log.read_text()

    def run(self, *words: str) -> Said:
        """Type a credbroker command and wait for its end."""
        done = subprocess.run(
            [sys.executable, "-m", "credbroker", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self._environment,
            timeout=STEP_SECONDS,
            check=False,
        )
        self._site.heard.append((f"credbroker {' '.join(words)}", done.stdout + done.stderr))
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a credbroker command in the background; it writes to the site's `log(name)`."""
        return self._site.start(name, words, self._environment)

    @property
    def grant(self) -> Grant:
        """The person's record as OpenBao has it now."""
        return self._site.grant(self.name)

    def renew(self) -> None:
        """Type `credbroker token` until the grant is one generation further.

        It may be answered before the refresh that it began, so it is given time: another one would
        begin another refresh, which then runs into the next test.
        """
        generation = self.grant.generation
        asked = -RENEWAL_SECONDS

        def renewed() -> bool:
            nonlocal asked
            if (now := self._site.elapsed()) - asked >= RENEWAL_SECONDS:
                asked = now
                self.fetch(STORAGE)
            return self.grant.generation > generation

        self._site.until(renewed, "no refresh took place")

    def rest(self) -> Grant:
        """Wait until nothing fetched so far is being renewed any more; return the record then."""
        last, since = self.grant, self._site.elapsed()

        def rests() -> Grant | None:
            nonlocal last, since
            now, found = self._site.elapsed(), self.grant
            if found != last or found.state is not GrantState.READY:
                last, since = found, now
            return found if now - since >= REST_SECONDS else None

        return self._site.until(rests, "the grant did not come to rest")

    def fetch(self, audience: str) -> str:
        """Type `credbroker token` for an audience; return the token from the file it names."""
        said = self.run("token", "--minimum", "1", "--audience", audience)
        assert (said.code, said.out) == (0, f"{self.token_file}\n"), said.err
        return self.token_file.read_text().strip()
