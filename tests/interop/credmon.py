"""HTCondor's VaultCredmon as far as a server can tell: what it sends, byte for byte, and what it deletes.

- A request is the bytes that were recorded of it: no server name, the address as `Host`, port 8200.
- It deletes both files of a login where the words of an error hold "permission denied", or where the
  parent's file is gone; every other failure leaves them.
- `.use` files are replaced by renaming.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

MINIMUM_SECONDS = 2400
PORT = 8200
_READ_SECONDS = 10.0
# The order of the lines is that of the recordings; it differs between releases of urllib3.
_LINES = "GET {target} HTTP/1.1\r\nHost: {address}:8200\r\nAccept-Encoding: identity\r\n"
NEW_FORM = _LINES + "User-Agent: python-urllib3/2.8.0\r\nX-Vault-Token: {vault_token}\r\n\r\n"
OLD_FORM = _LINES + "X-Vault-Token: {vault_token}\r\nUser-Agent: python-urllib3/1.26.20\r\n\r\n"


class ReadFailedError(Exception):
    """A read gave no access token; the words are those the credmon looks into."""


@dataclass(slots=True)
class Credmon:
    """One access point's credmon.

    Attributes:
        folder: The folder of credentials, with one folder for each person.
        ca_file: What it trusts.
        port: Where its connections to port 8200 end up, which is what a site changes when it moves.
        form: How its requests look.
        deleted: Files it deleted so far.
        complaints: What it wrote into its log, of reads that failed.
    """

    folder: Path
    ca_file: Path
    port: int
    form: str = NEW_FORM
    deleted: list[Path] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def scan(self) -> int:
        """Renew every login, as if all were due, and return how many were renewed."""
        return sum([self._renew(top) for top in sorted(self.folder.glob("*/*.top"))])

    def read(self, url: str, vault_token: str, **narrow: str) -> str:
        """Read an access token.

        Raises:
            ReadFailedError: There was none in the answer, or no answer.
            OSError: The connection failed.
        """
        where = urlsplit(url)
        if (where.scheme, where.port, where.path[:3]) != ("https", PORT, "/v1"):
            raise ReadFailedError(f"bad url: {url}")
        query = urlencode({"minimum_seconds": MINIMUM_SECONDS, **narrow})
        status, body = self.send(f"{quote(where.path, safe='/@:')}?{query}", vault_token)
        try:
            answer = json.loads(body)
        except ValueError:
            raise ReadFailedError(f"{status}: Could not parse json response") from None
        if status != http.HTTPStatus.OK:
            words = " ".join(answer.get("errors", []))
            raise ReadFailedError(f"{http.client.responses[status]}: {words}")
        return str(answer["data"]["access_token"])

    def send(self, target: str, vault_token: str) -> tuple[int, bytes]:
        """Send one recorded request, filled in; return the status and body of its answer."""
        asked = self.form.format(target=target, address="127.0.0.1", vault_token=vault_token)
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        trust.check_hostname = False  # the name is compared by urllib3 itself, none is sent
        with (
            socket.create_connection(("127.0.0.1", self.port), _READ_SECONDS) as raw,
            trust.wrap_socket(raw) as connection,
        ):
            connection.sendall(asked.encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.read()

    def _renew(self, top: Path) -> bool:
        asked = json.loads(top.read_text())
        if "vault_token" not in asked:
            parent = top.with_name(re.sub(r"_[^_]*$", "", top.stem) + ".top")
            if not parent.exists():
                self._delete(top)
                return False
            asked = json.loads(parent.read_text()) | asked
        try:
            access_token = self.read(asked["vault_url"], asked["vault_token"], **_narrow(asked))
        except (ReadFailedError, OSError) as failed:
            self.complaints.append(f"{top.parent.name}/{top.stem}: {failed}")
            if "permission denied" in str(failed):
                self._delete(top)
            return False
        self._put_down(top.with_suffix(".use"), access_token)
        return True

    def _put_down(self, use: Path, access_token: str) -> None:
        fresh = self.folder / f"tmp{use.parent.name}{use.stem}"
        fresh.touch(mode=0o600)
        fresh.write_text(access_token + "\n")
        fresh.chmod(0o400)
        os.replace(fresh, use)  # noqa: PTH105 - what the credmon calls

    def _delete(self, top: Path) -> None:
        for path in (top, top.with_suffix(".use")):
            if path.exists():
                path.unlink()
                self.deleted.append(path)


def _narrow(asked: dict[str, str]) -> dict[str, str]:
    narrow = {"scopes": asked["scopes"]} if "scopes" in asked else {}
    if "audience" in asked:
        narrow["audience" if "/creds/" in asked["vault_url"] else "audiences"] = asked["audience"]
    return narrow
