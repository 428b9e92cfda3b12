"""Shared narrow tokens as the JSON records that Vault keeps."""

from __future__ import annotations

from credbroker.domain.attenuation import Right
from credbroker.domain.narrow import NarrowToken
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.wire.fields import write_instant
from credbroker.wire.records import FORMAT, Record, present, record_fields


def write_narrow(narrow: NarrowToken) -> Record:
    """Write a shared token; times are cut to whole seconds."""
    return present(
        format=FORMAT,
        line=narrow.line,
        scopes=narrow.right.scopes.texts(),
        audiences=list(narrow.right.audiences),
        access_token=narrow.value.reveal(),
        obtained_at=write_instant(narrow.obtained_at),
        expires_at=write_instant(narrow.expires_at),
    )


def read_narrow(record: object) -> NarrowToken:
    """Read a shared token; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of a narrow token")
    return NarrowToken(
        line=fields.text("line"),
        right=Right(ScopeSet.of(fields.texts("scopes")), tuple(fields.texts("audiences"))),
        value=Secret("access token", fields.text("access_token")),
        obtained_at=fields.instant("obtained_at"),
        expires_at=fields.instant("expires_at"),
    )
