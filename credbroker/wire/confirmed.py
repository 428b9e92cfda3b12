"""Logins that are confirmed in a browser: sealed for the way, and as records; `wire.records` rules.

A record that holds a grant which waits for its place is as secret as a grant's own.
"""

from __future__ import annotations

from typing import Optional

from credbroker.domain.confirming import AskedLogin, ConfirmedLogin
from credbroker.domain.device import DeviceStart
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, parse_object, write_instant, write_object
from credbroker.wire.records import FORMAT, Record, present, read_grant, record_fields, write_grant


def write_asked(login: AskedLogin) -> bytes:
    """Write what does not change of a login, to be sealed."""
    return write_object(
        {
            "id": login.id,
            "issuer": login.issuer,
            "role": login.role,
            "nonce_hash": login.nonce_hash,
            "user_code": login.user_code,
            "started_at": write_instant(login.started_at),
            "expires_at": write_instant(login.expires_at),
            "address": login.address,
            "host": login.host or None,
        }
    )


def read_asked(content: bytes) -> AskedLogin:
    """Read what `write_asked` wrote; raise `Malformed` if an unlike version did."""
    fields = parse_object(content, "The login")
    return AskedLogin(
        id=fields.text("id"),
        issuer=fields.text("issuer"),
        role=fields.text("role"),
        nonce_hash=fields.text("nonce_hash"),
        user_code=fields.text("user_code"),
        started_at=fields.instant("started_at"),
        expires_at=fields.instant("expires_at"),
        address=fields.text("address"),
        host=fields.optional("host", fields.text) or "",
    )


def write_confirmed(login: ConfirmedLogin) -> Record:
    """Write a login's record."""
    return present(
        format=FORMAT,
        confirmed=True,
        id=login.id,
        issuer=login.issuer,
        role=login.role,
        expires_at=write_instant(login.expires_at),
        tries=login.tries or None,
        last_try=login.last_try or None,
        cookie_hash=login.cookie_hash or None,
        device=_write_device(login.device) if login.device else None,
        credkey=login.credkey or None,
        line=login.line or None,
        pending=write_grant(login.pending) if login.pending else None,
        placed=login.placed or None,
        note=login.note or None,
    )


def read_confirmed(record: object) -> ConfirmedLogin:
    """Read a login's record; raise `Malformed` if it is damaged or another kind of login."""
    fields = record_fields(record, "The login record")
    fields.flag("confirmed")
    return ConfirmedLogin(
        id=fields.text("id"),
        issuer=fields.text("issuer"),
        role=fields.text("role"),
        expires_at=fields.instant("expires_at"),
        tries=int(fields.optional("tries", fields.number) or 0),
        last_try=fields.optional("last_try", fields.text) or "",
        cookie_hash=fields.optional("cookie_hash", fields.text) or "",
        device=_read_device(fields.optional("device", fields.object)),
        credkey=fields.optional("credkey", fields.text) or "",
        line=fields.optional("line", fields.text) or "",
        pending=read_grant(fields.raw("pending")) if "pending" in fields else None,
        placed=fields.optional("placed", fields.text) or "",
        note=fields.optional("note", fields.text) or "",
    )


def write_login_key(key: Secret) -> Record:
    """Write the key that logins are sealed with."""
    return present(format=FORMAT, key=key.reveal())


def read_login_key(record: object) -> Secret:
    """Read the key that logins are sealed with; raise `Malformed` if the record is damaged."""
    return Secret("login key", record_fields(record, "The login key").text("key"))


def _write_device(device: DeviceStart) -> Record:
    return present(
        device_code=device.device_code.reveal(),
        user_code=device.user_code,
        verification_uri=device.verification_uri,
        verification_uri_complete=device.verification_uri_complete,
        expires_in=device.expires_in,
        interval_seconds=device.interval_seconds,
    )


def _read_device(fields: Optional[Fields]) -> Optional[DeviceStart]:
    if fields is None:
        return None
    return DeviceStart(
        device_code=Secret("device code", fields.text("device_code")),
        user_code=fields.text("user_code"),
        verification_uri=fields.text("verification_uri"),
        verification_uri_complete=fields.optional("verification_uri_complete", fields.text),
        expires_in=fields.number("expires_in"),
        interval_seconds=fields.number("interval_seconds"),
    )
