"""What an issuer gave for a login becomes a grant in its place, or is revoked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.broker.containing import Containing
from credbroker.broker.logins.taking_in import AskedFor, Enrolment, TakingIn
from credbroker.broker.running import Deeds, Means
from credbroker.domain.errors import IssuerMisbehaved, LoginDenied, NotFound
from credbroker.domain.grants import Grant
from credbroker.domain.outcomes import Renewed
from credbroker.domain.secret import Secret
from tests.unit.broker.world import GRANTED, ISSUER, KEY, ROLE, World

ASKED = AskedFor("login-1", ISSUER, ROLE, GRANTED)


def taking_in(world: World) -> tuple[TakingIn, list[Grant], Deeds]:
    """Return it with what it tells of, and what it begins."""
    deeds, told = Deeds(world.clock), list[Grant]()
    means = Means(world.audit, world.clock, world.entropy, deeds)
    enrolment = Enrolment(world.issuer, "preferred_username", {ROLE: GRANTED})
    containing = Containing(world.revocations, means)
    taking = TakingIn(
        world.grants, {ISSUER: enrolment}, means, containing=containing, noted=told.append
    )
    return taking, told, deeds


def answer(refresh: str | None = "refresh-1", identity: str | None = "id-1") -> Renewed:
    """Return what an issuer gives for a login."""
    return Renewed(
        access_token=Secret("access token", "access-1"),
        refresh_token=Secret("refresh token", refresh) if refresh else None,
        id_token=Secret("ID token", identity) if identity else None,
        expires_in=600.0,
    )


def knows(world: World, **claims: object) -> None:
    """Have the issuer's ID tokens say so."""
    world.issuer._identities["id-1"] = {"sub": "sub-ada", "preferred_username": "ada", **claims}


async def test_a_nonce_must_come_back_in_the_id_token() -> None:
    """OpenID Connect Core section 3.1.3.7: another login's answer is nobody's here."""
    world = World()
    takes, _, _ = taking_in(world)
    knows(world, nonce="mine")
    assert (await takes.grant(ASKED, answer(), nonce="mine")).key == KEY
    for other in ("theirs", ""):
        with pytest.raises(IssuerMisbehaved, match="another login"):
            await takes.grant(ASKED, answer(), nonce=other)


@pytest.mark.parametrize("missing", [answer(refresh=None), answer(identity=None)])
async def test_an_answer_without_a_token_that_is_needed_is_no_login(missing: Renewed) -> None:
    """The operator is told what to ask the issuer for."""
    takes, _, _ = taking_in(World())
    with pytest.raises(IssuerMisbehaved, match="no refresh token or no ID token"):
        await takes.grant(ASKED, missing)


async def test_a_second_login_takes_the_place_and_tells_what_it_replaced() -> None:
    """The same person's; the replaced refresh token is revoked afterwards."""
    world = World()
    takes, told, deeds = taking_in(world)
    knows(world)
    first, nothing = await takes.keep(await takes.grant(ASKED, answer()))
    again = replace(ASKED, login="login-2")
    second, replaced = await takes.keep(await takes.grant(again, answer("refresh-2")))
    assert (nothing, replaced) == (None, first.refresh_token)
    assert (second.line, second.generation) == (first.line, first.generation + 1)
    assert told == [first, second]
    takes.let_go_of_replaced(ISSUER, replaced)
    await deeds.finish()
    assert world.issuer.revoked == ["refresh-1"]


async def test_another_person_s_login_does_not_take_the_place() -> None:
    """The issuer gave two people one identity key."""
    world = World()
    takes, _, _ = taking_in(world)
    knows(world)
    await takes.keep(await takes.grant(ASKED, answer()))
    knows(world, sub="sub-eve")
    with pytest.raises(LoginDenied):
        await takes.keep(await takes.grant(replace(ASKED, login="login-2"), answer("refresh-2")))


def test_names_that_are_not_served_are_said() -> None:
    """Issuer, role, or both."""
    takes, _, _ = taking_in(World())
    assert takes.role(ISSUER, None) == (ROLE, GRANTED)
    with pytest.raises(NotFound, match="No issuer named 'moon'"):
        takes.role("moon", None)
    with pytest.raises(NotFound, match="no role 'king'"):
        takes.role(ISSUER, "king")


async def test_an_address_is_kept_only_where_people_are_told_by_mail() -> None:
    """A new login brings its own; without the setting there is none."""
    world = World()
    takes, _, _ = taking_in(world)
    knows(world, email="ada@example.org", email_verified=True)
    assert (await takes.grant(ASKED, answer())).mail == ""
    enrolment = takes._enrolments[ISSUER]
    takes._enrolments = {ISSUER: replace(enrolment, keeps_mail=True)}
    assert (await takes.grant(ASKED, answer())).mail == "ada@example.org"
