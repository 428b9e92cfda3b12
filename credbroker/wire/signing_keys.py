"""A community's signing keys as the JSON record that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import KeyHalves, SigningKey, SigningKeys
from credbroker.wire.fields import Fields, parse_object, write_instant, write_optional_instant
from credbroker.wire.records import FORMAT, Record, present, record_fields

_WHAT = "The record of signing keys"


def write_signing_keys(record: SigningKeys) -> Record:
    """Write a community's keys; the one place where a private half becomes text."""
    return present(format=FORMAT, url=record.url, keys=[_write(key) for key in record.keys])


def read_signing_keys(record: object) -> SigningKeys:
    """Read a community's keys; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, _WHAT)
    return SigningKeys(fields.text("url"), tuple(map(_read, fields.objects("keys"))))


def _write(key: SigningKey) -> Record:
    halves = key.halves
    return present(
        key_id=halves.key_id,
        algorithm=halves.algorithm,
        public=halves.public,
        private=halves.private.reveal() if halves.private is not None else None,
        remote=halves.remote or None,
        made_at=write_instant(key.made_at),
        uses_from=write_instant(key.uses_from),
        token_seconds=key.token_seconds,
        withdrawn_at=write_optional_instant(key.withdrawn_at),
    )


def _read(fields: Fields) -> SigningKey:
    private = fields.optional("private", fields.text)
    parse_object(fields.text("public").encode(), "The public half of a signing key")
    return SigningKey(
        halves=KeyHalves(
            key_id=fields.text("key_id"),
            algorithm=fields.text("algorithm"),
            public=fields.text("public"),
            private=Secret("signing key", private) if private is not None else None,
            remote=fields.optional("remote", fields.text) or "",
        ),
        made_at=fields.instant("made_at"),
        uses_from=fields.instant("uses_from"),
        token_seconds=fields.number("token_seconds"),
        withdrawn_at=fields.optional("withdrawn_at", fields.instant),
    )
