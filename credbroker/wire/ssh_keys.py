"""Ssh keys as the records that Vault keeps, and as clients of HTVault send them.

The rules of `wire.records` hold for the records.
"""

from __future__ import annotations

import base64

from credbroker.domain.errors import Malformed
from credbroker.domain.names import GrantKey, check_credkey, check_short_name
from credbroker.domain.ssh_keys import SeenNonce, SshKey, SshKeys, SshProof
from credbroker.wire.fields import parse_object, write_instant
from credbroker.wire.records import FORMAT, Record, present, record_fields


def write_ssh_keys(record: SshKeys) -> Record:
    """Write an identity's ssh keys."""
    return present(
        format=FORMAT,
        issuer=record.issuer,
        credkey=record.credkey,
        issuer_url=record.issuer_url,
        subject=record.subject,
        keys=[key.line() for key in record.keys],
        registered_at=write_instant(record.registered_at),
    )


def read_ssh_keys(record: object) -> SshKeys:
    """Read an identity's ssh keys; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of ssh keys")
    return SshKeys(
        issuer=fields.text("issuer"),
        credkey=fields.text("credkey"),
        issuer_url=fields.text("issuer_url"),
        subject=fields.text("subject"),
        keys=tuple(SshKey.parse(line) for line in fields.texts("keys")),
        registered_at=fields.instant("registered_at"),
    )


def write_seen_nonce(mark: SeenNonce) -> Record:
    """Write that a nonce was used."""
    return present(format=FORMAT, use=mark.id, seen_at=write_instant(mark.seen_at))


def read_seen_nonce(record: object) -> SeenNonce:
    """Read that a nonce was used; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The mark of a used nonce")
    return SeenNonce(fields.text("use"), fields.instant("seen_at"))


def read_public_keys(body: bytes) -> list[str]:
    """Read the lines of a registration, `{"public_keys": [...]}`; raise `Malformed`."""
    return parse_object(body, "The registration").texts("public_keys")


def read_ssh_proof(body: bytes) -> SshProof:
    """Read a login by ssh key; raise `Malformed`.

    `role` is the credkey, and `group` in `metadata` the role. Nonce and signature are base64; of
    the signature the leading name of its algorithm is not there.
    """
    fields = parse_object(body, "The login")
    wanted = fields.object("metadata")
    return SshProof(
        grant=GrantKey(
            issuer=check_short_name("issuer", wanted.text("issuer")),
            credkey=check_credkey(fields.text("role")),
            role=check_short_name("role", wanted.text("group")),
        ),
        key=SshKey.parse(fields.text("public_key")),
        nonce=_decoded(fields.text("nonce")).decode("ascii", "replace"),
        signature=_decoded(fields.text("signature")),
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Malformed("The login's nonce and signature must be base64.") from None
