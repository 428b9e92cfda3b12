"""The settings of a host's agent, all of them, as the operator writes them in one YAML file.

A key that nobody knows is an error. Durations are in seconds.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from credbroker.client.address import parse_address
from credbroker.config.load import read_mapping
from credbroker.config.schema import Tls
from credbroker.config.section import Seconds, Section, Text
from credbroker.domain.errors import BadSettings, Malformed
from credbroker.wire.sessions import SOCKET

DEFAULT_FILE = Path("/etc/credbroker/sessions.yaml")


class SessionsSettings(Section, frozen=True):
    """Which broker is asked, as which host, and where this host's people are.

    With `certificate` the host shows that at the broker; without, it is known by the key that it
    made when it joined.
    """

    broker: Text
    ca_file: Path | None = None
    certificate: Tls | None = None
    state_folder: Path = Path("/var/lib/credbroker-sessions")
    socket: Path = Path(SOCKET)
    sessions_folder: Path = Path("/run/user")
    look_seconds: Seconds = 60.0
    """How long an order made elsewhere may take to be seen here."""


def load(file: Path) -> SessionsSettings:
    """Read and check the settings in `file`; raise `BadSettings` naming file and key."""
    try:
        settings = msgspec.convert(read_mapping(file), SessionsSettings, dec_hook=_to_path)
        parse_address(settings.broker)
    except msgspec.ValidationError as error:
        raise BadSettings(f"{file}: {error}.") from None
    except Malformed as error:
        raise BadSettings(f"{file}: broker: {error.sentence}", error.remedy) from None
    return settings


def _to_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value.startswith("/"):
        return Path(value)
    raise ValueError("Expected an absolute path")
