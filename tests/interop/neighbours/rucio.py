"""A Rucio server and its conveyor, unmodified, on a database in a file, set up as our page says."""

from __future__ import annotations

import configparser
import json
import socket
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from credbroker.demo.ports import free_port
from credbroker.host.entropy import SystemEntropy
from tests.answers import Answer
from tests.interop.neighbours import inside_rucio
from tests.interop.neighbours.pages import block, put
from tests.interop.site import bare_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.interop.neighbours.issuer_world import IssuerWorld

PAGE = "rucio.md"
EXAMPLE_URL = "https://tokens.example.org:8200/dteam/"
EXAMPLE_SECRET = "what /etc/credbroker/secrets/rucio holds"
RUN_SECONDS = 60


class Rucio:
    """A Rucio whose settings and database lie below `folder`.

    Attributes:
        url: Where its server answers.
        folder: What it wrote.
    """

    def __init__(self, folder: Path, issuer: IssuerWorld, python: Path, fts: str) -> None:
        """Write settings and fill a database; `python` is the program Rucio is installed for.

        Transfers go to the FTS server at the URL `fts`.
        """
        self.folder = folder
        self._python = python
        self._issuer = issuer
        self._port = free_port(SystemEntropy())
        self.url = f"http://127.0.0.1:{self._port}"
        self._server: subprocess.Popen[bytes] | None = None
        self._write_settings(folder / "rucio.cfg", issuer.secrets["rucio"])
        identity = f"SUB={inside_rucio.ACCOUNT}, ISS={issuer.url}"
        self.run("prepare", identity, fts)

    def start(self) -> None:
        """Start the server; afterwards it listens."""
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                self._words("serve", str(self._port)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(self.folder / "rucio.cfg"),
                start_new_session=True,
            )
        self._issuer.until(self._listens, "Rucio's server did not start")

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()

    def whoami(self, token: str) -> Answer:
        """Ask the server who the bearer of a token is; it sends on to what it knows of the account."""
        asking = urllib.request.Request(
            f"{self.url}/accounts/whoami", headers={"X-Rucio-Auth-Token": token}
        )
        try:
            answered = urllib.request.urlopen(asking, timeout=RUN_SECONDS)
        except urllib.error.HTTPError as refused:
            answered = refused
        with answered:
            return Answer(answered.status, dict(answered.headers), answered.read())

    def command(self, token_file: Path, *words: str) -> str:
        """Return what the command `rucio` prints for somebody whose token lies in a file."""
        environment = self._environment(self.folder / "rucio.cfg")
        environment["BEARER_TOKEN_FILE"] = str(token_file)
        return _said([str(self._python.parent / "rucio"), *words], environment, self.folder)

    def run(self, *words: str) -> str:
        """Have Rucio's own code do something; see `inside_rucio`. Returns what it prints."""
        environment = self._environment(self.folder / "rucio.cfg")
        return _said(self._words(*words), environment, self.folder)

    def token_with_secret(self, secret: str, audience: str, scope: str) -> Any:
        """Return what its daemons would send to storage if the issuer's secret were this."""
        settings = self.folder / "other.cfg"
        self._write_settings(settings, secret)
        environment = self._environment(settings)
        return json.loads(_said(self._words("ask", audience, scope), environment, self.folder))

    def _words(self, *words: str) -> list[str]:
        return [str(self._python), "-P", inside_rucio.__file__, *words]

    def _environment(self, settings: Path) -> dict[str, str]:
        return {
            **bare_environment(),
            "HOME": str(self.folder),
            "RUCIO_CONFIG": str(settings),
            "REQUESTS_CA_BUNDLE": str(self._issuer.ca_file),
        }

    def _write_settings(self, file: Path, secret: str) -> None:
        secrets = file.with_suffix(".json")
        names = {EXAMPLE_URL: self._issuer.url, EXAMPLE_SECRET: secret}
        secrets.write_text(put(block(PAGE, '{\n  "dteam"'), names))
        settings = configparser.ConfigParser()
        settings.read_string(
            put(block(PAGE, "[oidc]"), {"/opt/rucio/etc/idpsecrets.json": str(secrets)})
        )
        settings["common"] = {"logdir": str(self.folder), "loglevel": "INFO"}
        settings["database"] = {"default": f"sqlite:///{self.folder}/rucio.db"}
        settings["policy"] = {"permission": "generic", "schema": "generic"}
        settings["client"] = {
            "rucio_host": self.url,
            "auth_host": self.url,
            "auth_type": "oidc",
            "account": inside_rucio.ACCOUNT,
        }
        with file.open("w") as written:
            settings.write(written)

    def _listens(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self._port)) == 0


def _said(words: Sequence[str], environment: dict[str, str], folder: Path) -> str:
    ended = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
