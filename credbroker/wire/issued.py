"""Issued refresh tokens as the JSON records that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from typing import Mapping

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import Malformed
from credbroker.domain.issued_refresh import IssuedRefresh, RefreshText
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, packed, write_instant, write_optional_instant
from credbroker.wire.records import FORMAT, Record, present, record_fields


def write_issued(issued: IssuedRefresh) -> Record:
    """Write the record of a refresh token; its secret is only there as a hash."""
    return present(
        format=FORMAT,
        id=issued.id,
        community=issued.community,
        holder=issued.holder,
        subject=issued.subject,
        granted_to=issued.granted_to,
        subject_jti=issued.subject_jti,
        scopes=packed(issued.right.scopes.texts()),
        audiences=packed(list(issued.right.audiences)),
        groups=packed(list(issued.groups)) if issued.groups else None,
        actor=packed(issued.actor) if issued.actor is not None else None,
        created_at=write_instant(issued.created_at),
        ends_at=write_instant(issued.ends_at),
        generation=issued.generation,
        secret_hash=issued.secret_hash,
        write_id=issued.write_id,
        previous_hash=issued.previous_hash or None,
        ended_at=write_optional_instant(issued.ended_at),
    )


def read_issued(record: object) -> IssuedRefresh:
    """Read the record of a refresh token; raise `Malformed` if it is damaged."""
    fields = record_fields(record, "The record of a refresh token")
    return IssuedRefresh(
        id=fields.text("id"),
        community=fields.text("community"),
        holder=fields.text("holder"),
        subject=fields.text("subject"),
        granted_to=fields.text("granted_to"),
        subject_jti=fields.text("subject_jti"),
        right=Right(ScopeSet.of(_texts(fields, "scopes")), _texts(fields, "audiences")),
        groups=_texts(fields, "groups") if "groups" in fields else (),
        actor=_actor(fields) if "actor" in fields else None,
        created_at=fields.instant("created_at"),
        ends_at=fields.instant("ends_at"),
        generation=int(fields.number("generation")),
        secret_hash=fields.text("secret_hash"),
        write_id=fields.text("write_id"),
        previous_hash=fields.optional("previous_hash", fields.text) or "",
        ended_at=fields.optional("ended_at", fields.instant),
    )


def read_refresh_text(shown: Secret) -> RefreshText | None:
    """Take a presented refresh token of ours apart; None for anything else."""
    return RefreshText.parse(shown.reveal())


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    found = fields.packed(name)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Malformed(f"The record of a refresh token needs {name!r} to be a list of texts.")
    return tuple(found)


def _actor(fields: Fields) -> Mapping[str, object]:
    found = fields.packed("actor")
    if not isinstance(found, dict):
        raise Malformed("The record of a refresh token needs 'actor' to be an object.")
    return found
