"""`credbroker admin issuer probe`: measures what a lost answer means at an issuer, and records it."""

from __future__ import annotations

from dataclasses import dataclass

from credbroker.admin.desk import Desk
from credbroker.admin.office import Office
from credbroker.admin.throw_away import Login, Place, check_alone, keep, log_in, place_of
from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.custody.probing import Measured, Probing
from credbroker.config.schema import Issuer as IssuerSettings
from credbroker.domain.attenuation import Right
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.ports import Issuer

MEANINGS = {
    UnclearRule.ASK: (
        "A refresh whose answer gets lost may have used the login up, and a second try might revoke"
        " more. So none is made: the person is asked to log in again."
    ),
    UnclearRule.RETRY_SAFE: (
        "A refresh whose answer gets lost has changed nothing. It is simply made again."
    ),
    UnclearRule.GRACE: (
        "A refresh whose answer gets lost is made once more while the old refresh token is still"
        " taken. That retry must fit in, so no refresh waits for longer than a third of this time."
    ),
    UnclearRule.ONCE_MORE: (
        "A refresh whose answer gets lost is made once more, which hurts nothing here. If that is"
        " refused, the person is asked to log in again."
    ),
}
"""What each rule means to people, in two sentences."""


@dataclass(frozen=True, slots=True)
class Wished:
    """What the operator asked for; `role` None means the issuer's first."""

    issuer_name: str
    role: str | None = None
    keep: bool = False


async def probe(office: Office, wished: Wished) -> None:
    """Measure the issuer with a login made for it, record its rule, and tell what that means.

    What is left of the login stays in custody for trials; with `keep` a second login is made if
    nothing is left. Raises `NotFound`, `LoginDenied`, `LoginExpired`, `NotAllowed` if the account
    has another login in custody, `StoreUnavailable` kinds, and what the issuer says to the login.
    """
    settings, desk = office.settings_of(wished.issuer_name), office.desk
    place = place_of(settings, wished.issuer_name, wished.role)
    issuer = await office.open_issuer(settings)
    marks = await office.marks({wished.issuer_name: issuer})
    login = await _log_in(office, issuer, place)
    desk.say("Logged in. Measuring, which takes two minutes at the most ...")
    right = _right(place, login, settings)
    found = await Probing(issuer, office.means).measure(login.refresh_token, right)
    if found.kept is not None:
        await keep(office, issuer, place, login, found.kept)
    await _record(office, marks, place, found)
    _tell(desk, place.issuer_name, found)
    _tell_what_counts(desk, issuer, found.rule, marks.rule(place.issuer_name))
    if found.kept is None:
        await _again(office, issuer, place, wished)


async def _log_in(office: Office, issuer: Issuer, place: Place) -> Login:
    login = await log_in(issuer, place.scopes, office.desk)
    await check_alone(office, issuer, place, login)
    return login


def _right(place: Place, login: Login, settings: IssuerSettings) -> Right:
    scopes = login.within(place).rights()
    audiences = tuple(settings.roles[place.role].audiences)
    # Where an audience is a resource, a token is for one at a time (RFC 8707).
    return Right(scopes, audiences[:1] if settings.audience_parameter == "resource" else audiences)


async def _record(office: Office, marks: IssuerMarks, place: Place, found: Measured) -> None:
    if found.rotates:
        await marks.note_rotation(place.issuer_name)
    await marks.record(place.issuer_name, found.rule)
    audit = office.means.audit
    await audit.record(
        "issuer_probed",
        issuer=place.issuer_name,
        role=place.role,
        rule=found.rule.kind.value,
        grace_seconds=found.rule.grace_seconds or None,
    )


def _tell(desk: Desk, name: str, found: Measured) -> None:
    for sentence in found.said:
        desk.answer(sentence)
    grace = f" of {found.rule.grace_seconds:.0f} s" if found.rule.grace_seconds else ""
    desk.answer(f"Recorded for {name}: {found.rule.kind.value}{grace}.")


def _tell_what_counts(desk: Desk, issuer: Issuer, found: Rule, counts: Rule) -> None:
    if issuer.rule is not None and issuer.rule != found:
        desk.answer(
            f"The settings say {issuer.rule.kind.value}, and they outrank what was measured; take"
            " unclear_answer out of them to go by the measurement."
        )
    elif counts != found:
        desk.answer("This issuer was seen to rotate refresh tokens before, so it counts as ask.")
    desk.answer(MEANINGS[counts.kind])


async def _again(office: Office, issuer: Issuer, place: Place, wished: Wished) -> None:
    """Say that nothing is left for trials, or make another login for them."""
    if not wished.keep:
        office.desk.answer(
            "Nothing is left of the login. One more, which --keep asks for, would be tried first"
            " when this issuer is in trouble, and spare a person's."
        )
        return
    login = await _log_in(office, issuer, place)
    await keep(office, issuer, place, login, login.refresh_token)
    office.desk.answer("The second login is kept for trials when this issuer is in trouble.")
