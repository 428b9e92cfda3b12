"""What a `.top` file asks for.

It is JSON as HTCondor's credd stored it: `vault_url` always, `vault_token` unless the file of the
parent holds it, `scopes` and `audience` where the request was narrowed. One that is broken concerns
its own name alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, parse_object
from credbroker.wire.htvault import split_list

_LEASE = "cb_"
_VAULT_TOKEN = re.compile(r"[\x21-\x7E]{1,4096}\Z")


@dataclass(frozen=True, slots=True)
class TopFile:
    """One stored request; None for scopes or audiences is all that the vault token gives.

    `is_lease` says that the vault token is a lease of a credbroker.
    """

    vault_url: str
    vault_token: Secret | None = None
    is_lease: bool = False
    scopes: tuple[str, ...] | None = None
    audiences: tuple[str, ...] | None = None


def read_top(content: bytes) -> TopFile:
    """Read the content of a `.top`. Raises `Malformed`, without quoting it."""
    fields = parse_object(content, "Its .top file")
    return TopFile(
        vault_url=fields.text("vault_url"),
        vault_token=fields.optional("vault_token", lambda name: _secret(fields, name)),
        is_lease=str(fields.raw("vault_token")).startswith(_LEASE),
        scopes=fields.optional("scopes", lambda name: _list(fields, name)),
        audiences=fields.optional("audience", lambda name: _list(fields, name)),
    )


def _secret(fields: Fields, name: str) -> Secret:
    text = fields.text(name)
    if not _VAULT_TOKEN.match(text):
        raise Malformed("Its .top file has a vault_token that can be none.")
    return Secret("vault token", text)


def _list(fields: Fields, name: str) -> tuple[str, ...]:
    return tuple(split_list(fields.text(name)))
