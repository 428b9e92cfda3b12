"""The settings by which a broker finds the OpenBao of a test or a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from credbroker.demo.openbao import OpenBaoServer


def vault_settings(server: OpenBaoServer) -> dict[str, Any]:
    """Return a broker's section `vault` that leads to `server`."""
    return {
        "addresses": [server.address],
        "ca_file": str(server.ca_file),
        "mount": server.mount,
        "approle": {
            "role_id_file": str(server.role_id_file),
            "secret_id_file": str(server.secret_id_file),
        },
    }
