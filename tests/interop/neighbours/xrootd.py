"""Real XRootD servers, set up as docs/neighbours/xrootd.md says.

- A server runs as the user `xrootd` where the tests run as root, which it refuses for itself.
- It is given the issuer's keys in the cache of its library, or, in a mount namespace of its own, a
  bundle of authorities with which it fetches them: its library trusts the system's bundle alone.
- It lives in a folder of its own, removed with it, and is ended by its own id.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker.demo.ports import free_port
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.interop.neighbours.pages import block, put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credbroker.demo.certificates import Authority

PAGE = "xrootd.md"
SERVER_USER = "xrootd"
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
START_SECONDS = 30.0
KEYS_LAST_SECONDS = 4 * 86400
_POLL_SECONDS = 0.05
_PACKAGES = "xrootd-server xrootd-server-plugins xrootd-client xrootd-scitokens-plugins"


def missing_program() -> str | None:
    """Return a sentence about what has to be installed first, or None."""
    plugins = list(Path("/usr/lib").glob("*/libXrdAccSciTokens-5.so"))
    if shutil.which("xrootd") is None or shutil.which("xrdcp") is None or not plugins:
        return f"XRootD is not whole; install the packages {_PACKAGES}, then run this again."
    return None


def no_namespace() -> str | None:
    """Return a sentence about why no mount namespace can be had, or None."""
    if os.geteuid() != 0:
        return "XRootD trusts the system's authorities alone; run this as root, who can add one to its view."
    if not SYSTEM_BUNDLE.is_file():
        return f"{SYSTEM_BUNDLE} is missing; install the package ca-certificates."
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return (
        None if tried.returncode == 0 else "unshare -m is not allowed here; allow it to this user."
    )


def hashed_authorities(folder: Path, authority: Authority) -> Path:
    """Return a folder of authorities, made below `folder`, as OpenSSL and grid programs look them up."""
    made = folder / "certificates"
    made.mkdir()
    shutil.copy(authority.ca_file, made)
    subprocess.run(["openssl", "rehash", str(made)], check=True, capture_output=True)
    return made


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    body: bytes


class XrootdServer:
    """One server, with an area for one community.

    Attributes:
        folder: All of it.
        area: The files of the community, `/dteam` to callers.
        certificates: The folder of authorities that it and its clients trust.
    """

    def __init__(self, authority: Authority) -> None:
        """Take a folder and two ports; nothing runs yet."""
        entropy = SystemEntropy()
        self.folder = Path(tempfile.mkdtemp(prefix="xrootd-"))
        self.area = self.folder / "storage" / "dteam"
        self.certificates = hashed_authorities(self.folder, authority)
        self._ports = free_port(entropy), free_port(entropy)
        self._clock = SystemClock()
        self._trust = ssl.create_default_context(cafile=str(authority.ca_file))
        self._running: subprocess.Popen[bytes] | None = None
        self._certificate = authority.issue("se", self.folder)
        shutil.copy(authority.ca_file, self.folder / "ca.pem")
        for made in ("storage/dteam/data", "spool", "run"):
            (self.folder / made).mkdir(parents=True)

    @property
    def audience(self) -> str:
        """How tokens name this server; also where it answers over HTTP."""
        return f"https://localhost:{self._ports[1]}"

    @property
    def root(self) -> str:
        """Where it answers over its own protocol."""
        return f"root://localhost:{self._ports[0]}/"

    def url(self, path: str) -> str:
        """Return the HTTP address of a path in the community's area."""
        return f"{self.audience}/dteam{path}"

    def store(self, path: str, content: bytes) -> None:
        """Lay a file into the community's area."""
        file = self.area / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self._give_away()

    def trust(self, issuer_url: str, audience: str | None = None) -> None:
        """Write the page's settings, with this issuer in them; it is called `audience`, if not by address."""
        self._issuer_url = issuer_url
        certificate, key = self._certificate
        here = {
            "/etc/xrootd/scitokens.cfg": str(self.folder / "scitokens.cfg"),
            "/srv/storage": str(self.folder / "storage"),
            "/var/spool/xrootd": str(self.folder / "spool"),
            "/run/xrootd": str(self.folder / "run"),
            "port 1094": f"port {self._ports[0]}",
            "http:8443": f"http:{self._ports[1]}",
            "/etc/grid-security/xrd/cert.pem": str(certificate),
            "/etc/grid-security/xrd/key.pem": str(key),
            "/etc/grid-security/certificates": str(self.certificates),
        }
        settings = put(block(PAGE, "# /etc/xrootd/xrootd-dteam.cfg"), here)
        (self.folder / "xrootd.cfg").write_text(settings)
        names = {
            "https://se.example.org:8443": audience or self.audience,
            "https://tokens.example.org:8200/dteam/": issuer_url,
        }
        trusted = put(block(PAGE, "# /etc/xrootd/scitokens.cfg"), names)
        (self.folder / "scitokens.cfg").write_text(trusted)

    def start(self, *, fetching: bool = False) -> None:
        """Start it; with `fetching` it gets the issuer's keys from the issuer itself."""
        self._give_away()
        user = SERVER_USER if os.geteuid() == 0 and not fetching else None
        program = ["xrootd", "-I", "v4", "-c", str(self.folder / "xrootd.cfg"), "-n", "test"]
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(
                [*(self._own_bundle() if fetching else ()), *program],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.defpath, "XDG_CACHE_HOME": str(self.folder / "cache")},
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )
        self._await_ready(self._running)

    def know_keys(self, jwks: Mapping[str, object]) -> None:
        """Put the issuer's keys where the library keeps those it fetched."""
        folder = self.folder / "cache" / "scitokens"
        folder.mkdir(parents=True, exist_ok=True)
        ends = int(self._clock.now().timestamp()) + KEYS_LAST_SECONDS
        known = {"jwks": jwks, "expires": ends, "next_update": ends}
        with contextlib.closing(sqlite3.connect(folder / "scitokens_cpp.sqllite")) as cache, cache:
            cache.execute(
                "CREATE TABLE IF NOT EXISTS keycache "
                "(issuer text UNIQUE PRIMARY KEY NOT NULL, keys text NOT NULL)"
            )
            cache.execute(
                "REPLACE INTO keycache VALUES (?, ?)", (self._issuer_url, json.dumps(known))
            )
        self._give_away()

    def said(self) -> str:
        """Return what it has written to its log so far."""
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        """End it, if it runs, and remove its folder."""
        if self._running is not None and self._running.poll() is None:
            self._running.kill()
            self._running.wait()
        shutil.rmtree(self.folder)

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes | None = None,
        **headers: str,
    ) -> Reply:
        """Send one request about a path in the community's area; `_` in a header's name is `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        door = http.client.HTTPSConnection(
            "localhost", self._ports[1], context=self._trust, timeout=START_SECONDS
        )
        try:
            door.request(method, f"/dteam{path}", body, sent)
            answered = door.getresponse()
            return Reply(answered.status, answered.read())
        finally:
            door.close()

    def _own_bundle(self) -> list[str]:
        """Return the words before a command that lets it see the tests' authority in the system's bundle."""
        bundle = self.folder / "bundle.pem"
        bundle.write_bytes(SYSTEM_BUNDLE.read_bytes() + (self.folder / "ca.pem").read_bytes())
        then = 'exec setpriv --reuid "$2" --regid "$2" --clear-groups "${@:3}"'
        script = f'mount --bind "$1" {SYSTEM_BUNDLE} && {then}'
        return ["unshare", "-m", "bash", "-c", script, "bash", str(bundle), SERVER_USER]

    def _give_away(self) -> None:
        if os.geteuid() != 0:
            return
        owner = pwd.getpwnam(SERVER_USER)
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)

    def _await_ready(self, running: subprocess.Popen[bytes]) -> None:
        ends = self._clock.elapsed() + START_SECONDS
        while self._clock.elapsed() < ends:
            assert running.poll() is None, self.said()
            with contextlib.suppress(OSError):
                self.ask("OPTIONS", "/")
                return
            self._clock.block(_POLL_SECONDS)
        raise AssertionError(f"XRootD does not answer:\n{self.said()}")
