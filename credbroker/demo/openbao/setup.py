"""What a throw-away OpenBao server is told: its files, its configuration, its first requests.

The server sets itself up on its first start (OpenBao's "self-initialisation"), so no root token is
ever shown. The broker's login is made here and read by the server from private files: it is on no
command line and in no environment. An administrator exists only where the settings ask for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credbroker.stores.broker_place import Part, Place, parts

if TYPE_CHECKING:
    from pathlib import Path

ADMIN_NAME = "admin"

_ADMIN_POLICY = """\
path "*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]
}
"""


@dataclass(frozen=True)
class OpenBaoSettings:
    """What the first start sets up; later starts in the same folder keep what they find.

    Attributes:
        mount: Where the broker's KV version 2 engine is mounted.
        token_ttl_seconds: How long a login of the broker is good for without renewal.
        token_max_ttl_seconds: How long it is good for with renewals.
        with_admin: Whether an administrator exists who may look at and change everything.
    """

    mount: str = "credbroker"
    token_ttl_seconds: int = 3600
    token_max_ttl_seconds: int = 86400
    with_admin: bool = False


@dataclass(frozen=True)
class Layout:
    """Where a server's files are, all in one folder."""

    folder: Path

    @property
    def config_file(self) -> Path:
        """The server's configuration."""
        return self.folder / "openbao.json"

    @property
    def raft_folder(self) -> Path:
        """What the server stores."""
        return self.folder / "raft"

    @property
    def log_file(self) -> Path:
        """What the server says."""
        return self.folder / "openbao.log"

    @property
    def audit_file(self) -> Path:
        """What the server was asked, one JSON line per request and answer."""
        return self.folder / "audit.log"

    @property
    def unseal_key_file(self) -> Path:
        """32 random bytes that seal what is stored."""
        return self.folder / "unseal.key"

    @property
    def role_id_file(self) -> Path:
        """The first half of the broker's login."""
        return self.folder / "role-id"

    @property
    def secret_id_file(self) -> Path:
        """The second, secret half of the broker's login."""
        return self.folder / "secret-id"

    @property
    def admin_password_file(self) -> Path:
        """The administrator's password, where there is one."""
        return self.folder / "admin-password"


def configuration(
    layout: Layout, settings: OpenBaoSettings, port: int, certificate: tuple[Path, Path]
) -> dict[str, Any]:
    """Return the server's configuration, to be written as JSON.

    Args:
        layout: Where the server's files are.
        settings: What the first start sets up.
        port: The port on 127.0.0.1 for clients; the next one is for other servers of a cluster.
        certificate: The PEM files of the server's certificate and of its key.
    """
    certificate_file, key_file = certificate
    return {
        "storage": {
            "raft": {
                "path": str(layout.raft_folder),
                "node_id": "demo",
                # The default of 5 makes a server wait ten seconds before it elects itself.
                "performance_multiplier": 1,
            }
        },
        "listener": {
            "tcp": {
                "address": f"127.0.0.1:{port}",
                "cluster_address": f"127.0.0.1:{port + 1}",
                "tls_cert_file": str(certificate_file),
                "tls_key_file": str(key_file),
            }
        },
        "api_addr": f"https://127.0.0.1:{port}",
        "cluster_addr": f"https://127.0.0.1:{port + 1}",
        "seal": {
            "static": {
                "current_key_id": "demo",
                "current_key": f"file://{layout.unseal_key_file}",
            }
        },
        # Written flat, because OpenBao reads labelled audit blocks wrongly from JSON; relative to
        # the folder it runs in, because a device that was ever switched on may not change its path.
        "audit": {
            "type": "file",
            "path": "file",
            "options": {"file_path": layout.audit_file.name},
        },
        "initialize": [{"broker": {"request": _first_requests(layout, settings)}}],
    }


def _first_requests(layout: Layout, settings: OpenBaoSettings) -> list[dict[str, Any]]:
    made = [one for part in parts(Place(settings.mount)) for one in _making(part, layout, settings)]
    return [*(_admin_login(layout) if settings.with_admin else []), *made]


def _making(part: Part, layout: Layout, settings: OpenBaoSettings) -> list[dict[str, Any]]:
    """Return the requests for one part of what a broker needs; its login is made here."""
    if part.name != "role":
        return [_request(part.name, part.path, dict(part.body))]
    own = {
        "role_id": _content_of(layout.role_id_file),
        "token_ttl": settings.token_ttl_seconds,
        "token_max_ttl": settings.token_max_ttl_seconds,
    }
    secret_id = {"secret_id": _content_of(layout.secret_id_file)}
    return [
        _request("role", part.path, {**part.body, **own}),
        _request("secret-id", f"{part.path}/custom-secret-id", secret_id),
    ]


def _admin_login(layout: Layout) -> list[dict[str, Any]]:
    rights = {
        "password": _content_of(layout.admin_password_file),
        "token_policies": [ADMIN_NAME],
    }
    return [
        _request("admin-policy", f"sys/policies/acl/{ADMIN_NAME}", {"policy": _ADMIN_POLICY}),
        _request("userpass", "sys/auth/userpass", {"type": "userpass"}),
        _request("admin", f"auth/userpass/users/{ADMIN_NAME}", rights),
    ]


def _request(name: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return {name: {"operation": "update", "path": path, "data": body}}


def _content_of(path: Path) -> dict[str, str]:
    return {"eval_type": "string", "eval_source": "file", "path": str(path)}
