"""What a token file holds, in each form that readers of such files know, and how it is read again."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Optional

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.fields import parse_object, write_object

if TYPE_CHECKING:
    from credbroker.domain.tokens import AccessToken

VARIABLE = "BEARER_TOKEN"
"""Where the WLCG bearer token discovery looks for a token itself."""


class Form(enum.Enum):
    """What a file holds."""

    RAW = "raw"
    """The token and nothing else."""
    JSON = "json"
    """One line with one object, which names the token `access_token` and its life `expires_in`."""
    ENV = "env"
    """`BEARER_TOKEN=` and the token, as a shell and systemd's EnvironmentFile read it."""


def written(token: AccessToken, form: Form, *, line_end: bool = False) -> bytes:
    """Return the content of a file with this token, ended like a line only with `line_end`."""
    text = token.value.reveal().encode()
    if form is Form.JSON:
        seconds = int(token.seconds_left(token.obtained_at))
        text = write_object({"access_token": token.value.reveal(), "expires_in": seconds})
    elif form is Form.ENV:
        text = f"{VARIABLE}=".encode() + text
    return text + b"\n" if line_end else text


def read(content: bytes, form: Form) -> Optional[Secret]:
    """Return the token in a file's content, which may be no token at all; None if there is none."""
    try:
        text = content.decode("ascii").strip()
        if form is Form.JSON:
            text = parse_object(text.encode(), "The file").text("access_token")
        elif form is Form.ENV:
            name, _, text = text.partition("=")
            text = text if name == VARIABLE else ""
    except (Malformed, UnicodeDecodeError):
        return None
    return Secret("access token", text) if text else None
