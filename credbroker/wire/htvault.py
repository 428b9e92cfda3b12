"""What HTVault's clients send and read: Vault's envelope, its way to write durations and lists.

Clients read only `data`, `auth` and `errors`; what Vault sends beside them and this broker has
nothing to say about is null, as it is there.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Mapping, Sequence

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, write_instant

_DURATION = re.compile(r"(\d{1,12})([smhd]?)\Z", re.ASCII)
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BETWEEN = re.compile(r"[,\s]+")


def write_envelope(
    data: Mapping[str, object] | None,
    auth: Mapping[str, object] | None,
    warnings: Sequence[str] = (),
) -> bytes:
    """Write a success; secrets in it are revealed, times are RFC 3339 in UTC."""
    envelope = {
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": list(warnings) or None,
        "auth": auth,
    }
    return _encode(envelope).encode()


def write_errors(sentences: Sequence[str]) -> bytes:
    """Write what is no success: clients look at the first sentence, or search all of them."""
    return _encode({"errors": list(sentences)}).encode()


def read_duration(fields: Fields, name: str) -> float | None:
    """Return a duration in seconds: "604800s", "7d", "600" or 600; None if it is absent or 0."""
    if name not in fields:
        return None
    found = fields.raw(name)
    match = _DURATION.match(str(found)) if isinstance(found, (str, int)) else None
    if match is None:
        raise Malformed(f'{name!r} must be a duration such as "604800s" or "7d".')
    return float(match.group(1)) * _UNIT_SECONDS[match.group(2)] or None


def read_seconds(text: str, what: str) -> int:
    """Return whole seconds as they stand in a query; raise `Malformed` naming `what`."""
    if not re.match(r"\d{1,9}\Z", text, re.ASCII):
        raise Malformed(f"{what} must be a number of seconds.")
    return int(text)


def split_list(text: str) -> list[str]:
    """Return what stands between commas and white space, each once, in order."""
    return list(dict.fromkeys(one for one in _BETWEEN.split(text) if one))


def _plain(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, datetime.datetime):
        return write_instant(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")


_encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
