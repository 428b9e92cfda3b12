"""What a `.use` file holds: a token and a line end, or one line of JSON that names the token."""

from __future__ import annotations

import datetime

from credbroker.client.htvault_tokens import read_loosely
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.wire.fields import parse_object

_KIND = "access token"


def read_use(content: bytes, now: datetime.datetime) -> AccessToken:
    """Return the token in a `.use`, seen first at `now`; raise `Malformed` if it holds none."""
    if content.startswith(b"{"):
        text = parse_object(content, "Its .use file").text("access_token")
    else:
        text = content.decode("ascii", "replace").strip()
    return read_loosely(Secret(_KIND, text), now)
