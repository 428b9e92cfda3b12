"""Hosts and their sessions as the records that Vault keeps; the rules of `wire.records` hold."""

from __future__ import annotations

from credbroker.domain.deliveries import HostLease
from credbroker.domain.errors import LeaseUnknown, NotAllowed
from credbroker.domain.hosts import JOIN_TOKEN, Host, HostSecret, HostSession
from credbroker.domain.secret import Secret
from credbroker.wire.fields import write_instant, write_optional_instant
from credbroker.wire.records import FORMAT, Record, present, record_fields


def write_host(host: Host) -> Record:
    """Write a host; of join tokens there are the hashes alone."""
    return present(
        format=FORMAT,
        name=host.name,
        join_hash=host.join_hash or None,
        join_until=write_optional_instant(host.join_until),
        key=host.key or None,
        joined_at=write_optional_instant(host.joined_at),
        traded_hash=host.traded_hash or None,
    )


def read_host(record: object) -> Host:
    """Read a host; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of a host")
    return Host(
        name=fields.text("name"),
        join_hash=fields.optional("join_hash", fields.text) or "",
        join_until=fields.optional("join_until", fields.instant),
        key=fields.optional("key", fields.text) or "",
        joined_at=fields.optional("joined_at", fields.instant),
        traded_hash=fields.optional("traded_hash", fields.text) or "",
    )


def write_host_session(session: HostSession) -> Record:
    """Write a host's session; of its token there is the hash alone."""
    return present(
        format=FORMAT,
        id=session.id,
        secret_hash=session.secret_hash,
        host=session.host,
        created_at=write_instant(session.created_at),
        ends_at=write_instant(session.ends_at),
        origin=session.origin or None,
    )


def read_host_session(record: object) -> HostSession:
    """Read a host's session; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of a host's session")
    return HostSession(
        id=fields.text("id"),
        secret_hash=fields.text("secret_hash"),
        host=fields.text("host"),
        created_at=fields.instant("created_at"),
        ends_at=fields.instant("ends_at"),
        origin=fields.optional("origin", fields.text) or "",
    )


def write_host_lease(found: HostLease) -> Record:
    """Write which lease a host has for an order."""
    return present(
        format=FORMAT,
        delivery=found.delivery,
        host=found.host,
        lease=found.lease_id,
        ends_at=write_instant(found.ends_at),
    )


def read_host_lease(record: object) -> HostLease:
    """Read which lease a host has for an order; raise `Malformed` if the record is damaged."""
    fields = record_fields(record, "The record of a host's lease")
    return HostLease(
        delivery=fields.text("delivery"),
        host=fields.text("host"),
        lease_id=fields.text("lease"),
        ends_at=fields.instant("ends_at"),
    )


def read_join_token(shown: Secret) -> HostSecret:
    """Read a join token as a host shows it; raise `NotAllowed` if it is none."""
    try:
        return HostSecret.parse(JOIN_TOKEN, shown.reveal())
    except LeaseUnknown:
        raise NotAllowed("This is no join token.", "Take care to copy all of it.") from None


def write_join_token(token: HostSecret) -> str:
    """Return a join token as text, for the operator who takes it to its host."""
    return token.text().reveal()
