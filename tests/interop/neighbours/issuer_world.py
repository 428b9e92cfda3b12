"""An issuer as a community runs it: `credbroker serve` on a real OpenBao, asked as services ask.

- The community is the one of a page in docs/neighbours, or one that a test writes: its clients get a
  secret each, its `url` becomes an address of this machine.
- The broker is a real process; all it says goes to `log_file`. It is ended by its own id.
- Tokens come from `/token` over HTTPS, as they come to any service.
"""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.parse
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from credbroker.broker.custody.replicas import name_segment
from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.signing_keys import read_signing_keys, write_signing_keys
from tests.answers import Answer
from tests.vault_settings import vault_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

T = TypeVar("T")

STEP_SECONDS = 20.0
_POLL_SECONDS = 0.05


class IssuerWorld:
    """One community's issuer.

    Attributes:
        folder: Everything it wrote, OpenBao's own files left out.
        url: The issuer's URL, with its final slash.
        ca_file: What its clients trust (PEM).
        secrets: The secret of each client, by client id.
        log_file: What the broker says.
    """

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        openbao: OpenBaoServer,
        community: Mapping[str, Any],
        name: str = "dteam",
    ) -> None:
        """Write settings below `folder`, which exists; nothing runs yet."""
        entropy = SystemEntropy()
        self.folder = folder
        self.name = name
        self.port = free_port(entropy)
        self.url = f"https://127.0.0.1:{self.port}/{name}/"
        self.ca_file = authority.ca_file
        self.log_file = folder / "broker.log"
        self.secrets = {client: entropy.token(32) for client in community.get("clients", {})}
        self._clock = SystemClock()
        self._openbao = openbao
        self._certificate = authority.issue("tokens", folder)
        self._broker: subprocess.Popen[bytes] | None = None
        for made in ("audit", "config.d", "secrets"):
            (folder / made).mkdir(mode=0o700)
        settings = self._settings({**community, "url": self.url})
        (folder / "config.d" / "10-all.yaml").write_text(yaml.safe_dump(settings))

    def start(self) -> None:
        """Start the broker; afterwards it serves the community's keys."""
        with self.log_file.open("ab") as log:
            self._broker = subprocess.Popen(
                [sys.executable, "-m", "credbroker", "serve",
                 "--config", str(self.folder / "config.d"), "--replica", "one"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.defpath, "HOME": str(self.folder)},
                start_new_session=True,
            )  # fmt: skip
        self.until(self._serves_keys, "the issuer did not serve its keys")

    def stop(self) -> None:
        """Have the broker end in good order."""
        if self._broker is not None:
            self._broker.send_signal(signal.SIGTERM)
            self._broker.wait(STEP_SECONDS)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Have nobody listen where the issuer is, for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def age_keys(self, seconds: float) -> None:
        """Have the signing keys grow older by so much while the broker is down; it runs again then."""
        kv, mount = self._openbao.admin_client().secrets.kv.v2, self._openbao.mount
        path, older = f"signing/{name_segment(self.name)}", datetime.timedelta(seconds=seconds)
        with self.down():
            stored = kv.read_secret_version(path, mount_point=mount, raise_on_deleted_version=True)
            record = read_signing_keys(stored["data"]["data"])
            aged = [
                replace(key, made_at=key.made_at - older, uses_from=key.uses_from - older)
                for key in record.keys
            ]
            after = write_signing_keys(replace(record, keys=tuple(aged)))
            version = stored["data"]["metadata"]["version"]
            kv.create_or_update_secret(path, secret=dict(after), cas=version, mount_point=mount)

    def close(self) -> None:
        """End the broker, if it runs."""
        if self._broker is not None and self._broker.poll() is None:
            self._broker.kill()
            self._broker.wait()

    def ask(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; `path` is below the issuer's URL, or absolute if it begins with `/`."""
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        door = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=trust, timeout=STEP_SECONDS
        )
        try:
            target = path if path.startswith("/") else f"/{self.name}/{path}"
            door.request(method, target, body, dict(headers or {}))
            answered = door.getresponse()
            return Answer(answered.status, dict(answered.headers), answered.read())
        finally:
            door.close()

    def post(self, path: str, client: str, **form: str) -> Answer:
        """Post a form as a client, which shows its secret by HTTP Basic."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urllib.parse.urlencode(form), self._shown(client) | kind)

    def post_json(self, path: str, client: str, asked: object) -> Answer:
        """Post what is asked as JSON, as a client."""
        kind = {"Content-Type": "application/json"}
        return self.ask("POST", path, json.dumps(asked), self._shown(client) | kind)

    def token(self, client: str, scope: str, audience: str, **more: str) -> str:
        """Return an access token that a client asked for with its secret alone."""
        asked = {"scope": scope, "audience": audience, **more}
        answer = self.post("token", client, grant_type="client_credentials", **asked)
        assert answer.status == 200, answer
        return str(answer.json["access_token"])

    def jwks(self) -> dict[str, Any]:
        """Return the keys that are announced now."""
        return self.ask("GET", "jwks").json

    def audit_lines(self) -> list[dict[str, Any]]:
        """Return what the broker has written into its audit trail so far."""
        files = sorted((self.folder / "audit").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def until(self, found: Callable[[], T | None], complaint: str) -> T:
        """Wait until `found` gives something true, and return that."""
        ends = self._clock.elapsed() + STEP_SECONDS
        while self._clock.elapsed() < ends:
            if it := found():
                return it
            self._clock.block(_POLL_SECONDS)
        raise AssertionError(f"After {STEP_SECONDS:.0f} s {complaint}; see {self.log_file}")

    def _shown(self, client: str) -> dict[str, str]:
        shown = base64.b64encode(f"{client}:{self.secrets[client]}".encode()).decode()
        return {"Authorization": f"Basic {shown}"}

    def _serves_keys(self) -> bool:
        assert self._broker is not None
        assert self._broker.poll() is None, self.log_file.read_text()
        try:
            return self.ask("GET", "jwks").status == 200
        except OSError:
            return False

    def _settings(self, community: Mapping[str, Any]) -> dict[str, Any]:
        certificate, key = self._certificate
        nobody = {"url": "https://127.0.0.1:9/", "client_id": "nobody"}
        return {
            "public_url": f"https://127.0.0.1:{self.port}",
            "listen": {
                "port": self.port,
                "tls": {"certificate_file": str(certificate), "key_file": str(key)},
            },
            "audit": {"folder": str(self.folder / "audit")},
            "vault": vault_settings(self._openbao),
            "issuers": {
                "nobody": {**nobody, "roles": {"default": {"scopes": ["openid", "offline_access"]}}}
            },
            "communities": {self.name: {**community, "clients": self._clients(community)}},
        }

    def _clients(self, community: Mapping[str, Any]) -> dict[str, Any]:
        clients = {}
        for client, settings in community.get("clients", {}).items():
            secret_file = self.folder / "secrets" / client
            write_private(secret_file, self.secrets[client].encode())
            clients[client] = {**settings, "secret_file": str(secret_file)}
        return clients


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of a token, unverified."""
    header, claims, _ = token.split(".")
    return _decoded(header), _decoded(claims)


def _decoded(part: str) -> dict[str, Any]:
    read = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert isinstance(read, dict)
    return read
