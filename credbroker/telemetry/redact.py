"""The second fence around secrets: nothing token-shaped leaves through a log line.

The first fence is `domain.secret.Secret`, which does not show itself. This one looks at the text of
every log event for what escaped it: JWTs, lease tokens, Vault tokens, and values under names that
mean a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

_SHAPES = re.compile(
    r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # a JWT, signed or not
    r"|cb_[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]+)?"  # a lease token
    r"|\b(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{16,}"  # a Vault or OpenBao token
    r"|(?i:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"  # an Authorization header
    r"|(?i:refresh_token|access_token|id_token|device_code|client_secret|secret_id|password|code|token)"
    r"(?:=|\\?[\"']\s*:\s*\\?[\"'])[^\s&\"'\\]{6,}"  # a form field, or one of JSON or of a repr
)
_VAULTS = re.compile(r"[sbr]\.[A-Za-z0-9_-]{16}")
# Begins with one letter that must be there, by which most of a text is skipped at once.
_PERHAPS_A_VAULTS = re.compile(r"\.[A-Za-z0-9_-]{16}")
_NAMES = re.compile(r"(?i)(?:token|secret|password|authorization|cookie|device_code|secret_id)\Z")
_PUT_INSTEAD = "[redacted]"


def redact(text: str) -> str:
    """Return `text` with everything that looks like a secret replaced."""
    return text if surely_clean(text) else _SHAPES.sub(_PUT_INSTEAD, text)


def surely_clean(text: str) -> bool:
    """True if something that each of the shapes has is missing, here and in every part of `text`.

    Looking for the shapes takes ten times as long, and most texts of the trail are identifiers.
    """
    if not text.isascii() or "=" in text or '"' in text or "'" in text:
        return False
    if "eyJ" in text or "cb_" in text:
        return False
    if _PERHAPS_A_VAULTS.search(text) and _VAULTS.search(text):
        return False
    lower = text.lower()
    return "bearer" not in lower and "basic" not in lower


def redact_event(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Redact a structlog event, at any depth; a processor."""
    for name, value in list(event.items()):
        event[name] = _PUT_INSTEAD if _names_a_secret(name, value) else _cleaned(value)
    return event


def _names_a_secret(name: str, value: object) -> bool:
    return bool(_NAMES.search(name)) and isinstance(value, str | bytes)


def _cleaned(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {
            str(name): _PUT_INSTEAD if _names_a_secret(str(name), inner) else _cleaned(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(inner) for inner in value]
    return redact(str(value))
