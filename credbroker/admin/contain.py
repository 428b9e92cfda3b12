"""`credbroker admin contain`: ends a lease, or all leases of a person, a job, a host or an issuer.

Every replica holds to it within five seconds, while OpenBao/Vault answers. Access tokens that are
out already live until they expire; the grants stay, so that whoever logs in later goes on.
"""

from __future__ import annotations

import datetime

from credbroker.admin.office import Office
from credbroker.broker.containing import Containing
from credbroker.domain.revocations import Kind, check_name
from credbroker.wire.fields import read_instant


async def contain(office: Office, kind: Kind, name: str, until: str | None) -> None:
    """End the leases of `name` that were made until now, or until the UTC time `until`.

    Raises `Malformed`, `NotFound` for an issuer that the settings do not name, `ClockOff`, and
    `StoreUnavailable` kinds.
    """
    name = _checked(office, kind, name)
    office.means.check_clock()  # what is stored is this host's time
    before = read_instant(until, "--until") if until is not None else None
    over = await _containing(office).revoke(kind, name, before)
    office.desk.answer(f"{kind.value.capitalize()} {name} is contained.")
    if kind is Kind.LEASE:
        office.desk.say("It is over, and so is every lease made from it, within 5 seconds.")
        return
    office.desk.say(
        f"Every lease made before {_text(over)} is over within 5 seconds; later ones count."
    )


async def lift(office: Office, kind: Kind, name: str) -> None:
    """Let those leases count again. Raises `Malformed`, `NotFound`, and `StoreUnavailable` kinds."""
    name = check_name(kind, name)
    await _containing(office).lift(kind, name)
    office.desk.answer(f"{kind.value.capitalize()} {name} is contained no more.")


def _checked(office: Office, kind: Kind, name: str) -> str:
    name = check_name(kind, name)
    if kind in {Kind.PERSON, Kind.ISSUER}:
        office.settings_of(name.partition("/")[0])
    return name


def _containing(office: Office) -> Containing:
    return Containing(office.revocations, office.means)


def _text(at: datetime.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
