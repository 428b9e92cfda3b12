"""`credbroker admin contain`: ends a lease, or all leases of a person, a job, a host or an issuer.

Also stops a client of one of our own communities, or ends one token that we signed.

Every replica holds to it within five seconds, while OpenBao/Vault answers. Access tokens that are
out already live until they expire; the grants stay, so that whoever logs in later goes on.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from credbroker.admin.office import Office
from credbroker.admin.policy import community_of
from credbroker.broker.containing import Containing
from credbroker.broker.hits import Hits, count_hits
from credbroker.domain.revocations import OF_LEASES, Kind, check_name, is_address, made_until
from credbroker.wire.fields import read_instant

COUNT_SECONDS = 60.0

_OF_OURS = {
    Kind.CLIENT: "Within 5 seconds it is given nothing, and what it was given can be used for no grant."
    " Change its secret, then let it in again with --lift.",
    Kind.TOKEN: "Within 5 seconds it can be used for no grant, and counts as inactive where we are asked.",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to contain, and why; `until` is a UTC time as text, None for now."""

    kind: Kind
    name: str
    until: str | None = None
    reason: str = ""


async def contain(office: Office, wanted: Wanted) -> None:
    """End the leases of that name that were made until now, or until the time that is wanted.

    Raises `Malformed`, `NotFound` for an issuer or community that the settings do not name,
    `ClockOff`, and `StoreUnavailable` kinds.
    """
    kind, name = wanted.kind, _checked(office, wanted)
    containing = Containing(office.revocations, office.means)
    over = await containing.revoke(kind, name, _before(wanted), reason=wanted.reason or None)
    office.desk.answer(f"{kind.value.capitalize()} {name} is contained.")
    if kind is Kind.LEASE:
        office.desk.say("It is over, and so is every lease made from it, within 5 seconds.")
    elif kind in _OF_OURS:
        office.desk.say(_OF_OURS[kind])
    else:
        office.desk.say(
            f"Every lease made before {_text(over)} is over within 5 seconds; later ones count."
        )
    if kind in {Kind.PERSON, Kind.ISSUER}:
        office.desk.say(
            "Tickets and ssh keys open nothing until their person has logged in at the issuer again,"
            " which works at once; a login from before is not used until then."
        )
    if kind is Kind.HOST and not is_address(name):
        office.desk.say(
            "By its name a host loses what was delivered to it. Give its address as well, to end what"
            " jobs or people asked for from there."
        )
    office.desk.say("Access tokens that are out live until they expire.")
    if kind in OF_LEASES:
        _tell(office, await _hits(office, kind, name, over), "These are")


async def rehearse(office: Office, wanted: Wanted) -> None:
    """Tell what `contain` would end, and end nothing; raises as that does."""
    name = _checked(office, wanted)
    now = office.means.clock.now()
    over = _before(wanted) or made_until(now)
    office.desk.answer(f"{wanted.kind.value.capitalize()} {name} would be contained.")
    if wanted.kind in OF_LEASES:
        _tell(office, await _hits(office, wanted.kind, name, over), "These would be")
    else:
        office.desk.say(_OF_OURS[wanted.kind])


async def lift(office: Office, wanted: Wanted) -> None:
    """Let those leases count again. Raises `Malformed`, `NotFound`, and `StoreUnavailable` kinds."""
    kind, name = wanted.kind, check_name(wanted.kind, wanted.name)
    containing = Containing(office.revocations, office.means)
    await containing.lift(kind, name, reason=wanted.reason or None)
    office.desk.answer(f"{kind.value.capitalize()} {name} is contained no more.")
    what = "What is left of its leases" if kind in OF_LEASES else f"This {kind.value}"
    office.desk.say(f"{what} counts again within 5 seconds.")


async def list_contained(office: Office) -> None:
    """Print what is contained now, a sentence each. Raises `StoreUnavailable` kinds."""
    contained = await Containing(office.revocations, office.means).contained()
    for kind, marks in contained.items():
        for name, mark in sorted(marks.items(), key=lambda one: (one[1].before, one[0])):
            office.desk.answer(
                f"{kind.value.capitalize()} {name}: what was made before {_text(mark.before)} is over"
                f" (remembered until {_text(mark.kept_until)})."
            )
    if not any(contained.values()):
        office.desk.say("Nothing is contained.")


def _checked(office: Office, wanted: Wanted) -> str:
    name = check_name(wanted.kind, wanted.name)
    if wanted.kind in {Kind.PERSON, Kind.ISSUER}:
        office.settings_of(name.partition("/")[0])
    if wanted.kind is Kind.CLIENT:
        community_of(office.settings, name.partition("/")[0])
    return name


def _before(wanted: Wanted) -> datetime.datetime | None:
    return read_instant(wanted.until, "--until") if wanted.until is not None else None


async def _hits(office: Office, kind: Kind, name: str, over: datetime.datetime) -> Hits:
    clock = office.means.clock
    return await count_hits(office.leases, kind, name, over, clock, seconds=COUNT_SECONDS)


def _tell(office: Office, hits: Hits, are: str) -> None:
    least = "" if hits.complete else "at least "
    whose = f", of {', '.join(hits.people)}" if hits.people else ""
    office.desk.say(f"{are} {least}{hits.leases} leases, {hits.jobs} of them of jobs{whose}.")


def _text(at: datetime.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
