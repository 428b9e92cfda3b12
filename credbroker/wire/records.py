"""Grants, leases and waiting logins as the JSON records that Vault keeps.

Every record carries a `format` number, so that a later version can tell what it reads. A field
that is absent means "not set"; readers ignore fields they do not know, so that an older replica can
run beside a newer one.
"""

from __future__ import annotations

from collections.abc import Mapping

from credbroker.domain.attenuation import Ceiling, Right
from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import Malformed
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import Lease
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.starts import Start, Starts
from credbroker.wire.fields import Fields, packed, write_instant, write_optional_instant

FORMAT = 1
Record = Mapping[str, object]


def write_grant(grant: Grant) -> Record:
    """Write a grant; the one place where a refresh token becomes text for the store."""
    return present(
        format=FORMAT,
        **_key_fields(grant.key),
        line=grant.line,
        issuer_url=grant.issuer_url,
        subject=grant.subject,
        client_id=grant.client_id,
        scopes=grant.scopes.texts(),
        refresh_token=grant.refresh_token.reveal() if grant.refresh_token else None,
        generation=grant.generation,
        state=grant.state.value,
        write_id=grant.write_id,
        created_at=write_instant(grant.created_at),
        refreshed_at=write_instant(grant.refreshed_at),
        claimed_by=grant.claimed_by,
        note=grant.note or None,
        reason=grant.reason or None,
        posts=grant.posts or None,
        steps=grant.steps or None,
        claim_id=grant.claim_id or None,
        login_id=grant.login_id or None,
        earlier_logins=list(grant.earlier_logins) or None,
        doubt_seconds=grant.doubt_seconds or None,
        used_at=write_optional_instant(grant.used_at),
        unused_seconds=grant.unused_seconds or None,
        refresh_expires_at=write_optional_instant(grant.refresh_expires_at),
        rotated=grant.rotated or None,
        replaced=grant.replaced or None,
        tokens_until=write_optional_instant(grant.tokens_until),
        access_token=grant.access_token.reveal() if grant.access_token else None,
        access_scopes=grant.access_right.scopes.texts() if grant.access_right else None,
        access_audiences=list(grant.access_right.audiences) if grant.access_right else None,
        mail=grant.mail or None,
    )


def read_grant(record: object) -> Grant:
    """Read a grant; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The grant record")
    token = fields.optional("refresh_token", fields.text)
    access_token = fields.optional("access_token", fields.text)
    access_scopes = fields.optional("access_scopes", fields.texts)
    access_audiences = fields.optional("access_audiences", fields.texts) or []
    try:
        state = GrantState(fields.text("state"))
    except ValueError:
        raise Malformed("The grant record is in a state this version does not know.") from None
    return Grant(
        key=_read_key(fields),
        line=fields.text("line"),
        issuer_url=fields.text("issuer_url"),
        subject=fields.text("subject"),
        client_id=fields.text("client_id"),
        scopes=ScopeSet.of(fields.texts("scopes")),
        refresh_token=Secret("refresh token", token) if token else None,
        generation=int(fields.number("generation")),
        state=state,
        write_id=fields.text("write_id"),
        created_at=fields.instant("created_at"),
        refreshed_at=fields.instant("refreshed_at"),
        claimed_by=fields.optional("claimed_by", fields.text),
        note=fields.optional("note", fields.text) or "",
        reason=fields.optional("reason", fields.text) or "",
        posts=int(fields.optional("posts", fields.number) or 0),
        steps=int(fields.optional("steps", fields.number) or 0),
        claim_id=fields.optional("claim_id", fields.text) or "",
        login_id=fields.optional("login_id", fields.text) or "",
        earlier_logins=tuple(fields.optional("earlier_logins", fields.texts) or ()),
        doubt_seconds=fields.optional("doubt_seconds", fields.number) or 0.0,
        used_at=fields.optional("used_at", fields.instant),
        unused_seconds=fields.optional("unused_seconds", fields.number) or 0.0,
        refresh_expires_at=fields.optional("refresh_expires_at", fields.instant),
        rotated=fields.optional("rotated", fields.flag) or False,
        replaced=fields.optional("replaced", fields.flag) or False,
        tokens_until=fields.optional("tokens_until", fields.instant),
        access_token=Secret("access token", access_token) if access_token else None,
        access_right=(
            Right(ScopeSet.of(access_scopes), tuple(access_audiences))
            if access_scopes is not None
            else None
        ),
        mail=fields.optional("mail", fields.text) or "",
    )


def write_lease(lease: Lease) -> Record:
    """Write a lease; its secret half is only there as a hash."""
    scopes, audiences = lease.ceiling.scopes, lease.ceiling.audiences
    return present(
        format=FORMAT,
        id=lease.id,
        secret_hash=lease.secret_hash,
        **_key_fields(lease.key),
        line=lease.line,
        scopes=scopes.texts() if scopes is not None else None,
        audiences=list(audiences) if audiences is not None else None,
        created_at=write_instant(lease.created_at),
        ends_at=write_instant(lease.ends_at),
        ancestors=list(lease.ancestors),
        job=lease.job,
        ended_at=write_optional_instant(lease.ended_at),
        subject=lease.subject or None,
        registers=lease.registers or None,
        origin=lease.origin or None,
        starts=_packed_starts(lease.starts) if lease.starts is not None else None,
        host=lease.host or None,
    )


def read_lease(record: object) -> Lease:
    """Read a lease; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The lease record")
    scopes = fields.optional("scopes", fields.texts)
    audiences = fields.optional("audiences", fields.texts)
    return Lease(
        id=fields.text("id"),
        secret_hash=fields.text("secret_hash"),
        key=_read_key(fields),
        line=fields.text("line"),
        ceiling=Ceiling(
            ScopeSet.of(scopes) if scopes is not None else None,
            tuple(audiences) if audiences is not None else None,
        ),
        created_at=fields.instant("created_at"),
        ends_at=fields.instant("ends_at"),
        ancestors=tuple(fields.texts("ancestors")),
        job=fields.optional("job", fields.text),
        ended_at=fields.optional("ended_at", fields.instant),
        subject=fields.optional("subject", fields.text) or "",
        registers=fields.optional("registers", fields.flag) or False,
        origin=fields.optional("origin", fields.text) or "",
        starts=_read_starts(fields) if "starts" in fields else None,
        host=fields.optional("host", fields.text) or "",
    )


def _packed_starts(starts: Starts) -> str:
    return packed(
        present(
            mark=starts.mark,
            most=starts.most,
            made=[_start_fields(one) for one in starts.made],
            begun=list(starts.begun),
            shown=starts.shown or None,
            present=starts.present or None,
            before=list(starts.before) if any(starts.before) else None,
            stepped_at=write_optional_instant(starts.stepped_at),
            alarm=_start_fields(starts.alarm) if starts.alarm is not None else None,
        )
    )


def _start_fields(start: Start) -> Record:
    return {"at": write_instant(start.at), "address": start.address}


def _read_starts(record: Fields) -> Starts:
    fields = Fields(record.packed("starts"), "The lease record, field 'starts',")
    alarm = fields.optional("alarm", fields.object)
    shown, named = fields.optional("before", fields.texts) or ("", "")
    return Starts(
        first=record.text("secret_hash"),
        mark=fields.text("mark"),
        most=int(fields.number("most")),
        made=tuple(_read_start(one) for one in fields.objects("made")),
        begun=tuple(fields.texts("begun")),
        shown=fields.optional("shown", fields.text) or "",
        present=fields.optional("present", fields.text) or "",
        before=(shown, named),
        stepped_at=fields.optional("stepped_at", fields.instant),
        alarm=_read_start(alarm) if alarm is not None else None,
    )


def _read_start(fields: Fields) -> Start:
    return Start(fields.instant("at"), fields.text("address"))


def write_login(login: PendingLogin) -> Record:
    """Write a waiting login."""
    return present(
        format=FORMAT,
        id=login.id,
        secret_hash=login.secret_hash,
        issuer=login.issuer,
        role=login.role,
        scopes=login.scopes.texts(),
        device_code=login.device_code.reveal() if login.device_code else None,
        interval_seconds=login.interval_seconds,
        started_at=write_instant(login.started_at),
        expires_at=write_instant(login.expires_at),
        origin=login.origin,
        note=login.note or None,
    )


def read_login(record: object) -> PendingLogin:
    """Read a waiting login; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The login record")
    code = fields.optional("device_code", fields.text)
    return PendingLogin(
        id=fields.text("id"),
        secret_hash=fields.text("secret_hash"),
        issuer=fields.text("issuer"),
        role=fields.text("role"),
        scopes=ScopeSet.of(fields.texts("scopes")),
        device_code=Secret("device code", code) if code else None,
        interval_seconds=fields.number("interval_seconds"),
        started_at=fields.instant("started_at"),
        expires_at=fields.instant("expires_at"),
        origin=fields.text("origin"),
        note=fields.optional("note", fields.text) or "",
    )


def record_fields(record: object, what: str) -> Fields:
    """Return a record's fields; raise `Malformed` if it was written by a newer version."""
    fields = Fields(record, what)
    if fields.number("format") != FORMAT:
        raise Malformed(f"{what} was written by a newer version.")
    return fields


def _key_fields(key: GrantKey) -> dict[str, object]:
    return {"issuer": key.issuer, "credkey": key.credkey, "role": key.role}


def _read_key(fields: Fields) -> GrantKey:
    return GrantKey(fields.text("issuer"), fields.text("credkey"), fields.text("role"))


def present(**fields: object) -> Record:
    """Return a record of the fields that are set."""
    return {name: value for name, value in fields.items() if value is not None}
