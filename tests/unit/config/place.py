"""Settings that are right, for tests that then break them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def right(folder: Path) -> dict[str, Any]:
    """Return settings that pass, whose secrets are in `folder`."""
    for name in ("role-id", "secret-id", "client-secret"):
        file = folder / name
        file.write_text(f"the-{name}\n")
        file.chmod(0o600)
    role = {"scopes": ["openid", "offline_access", "storage.read:/"]}
    return {
        "public_url": "https://broker.test:8200",
        "vault": {
            "addresses": ["https://vault1.test:8200", "https://vault2.test:8200"],
            "approle": {
                "role_id_file": str(folder / "role-id"),
                "secret_id_file": str(folder / "secret-id"),
            },
        },
        "issuers": {
            name: {
                "url": f"https://{name}.test/",
                "client_id": "broker",
                "client_secret_file": str(folder / "client-secret"),
                "roles": {"default": copy.deepcopy(role), "pilot.2": copy.deepcopy(role)},
            }
            for name in ("egi", "cms")
        },
        "audit": {"folder": str(folder)},
    }


def write(folder: Path, **files: Any) -> Path:
    """Write one YAML file per keyword below `folder`/config.d and return that folder."""
    place = folder / "config.d"
    place.mkdir(exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (place / f"{name}.yaml").write_text(text)
    return place
