"""The owner of a grant hears what is to come, and what holds things up."""

from __future__ import annotations

import datetime

from credbroker.api.outlook import GrantOutlook, Outlook
from credbroker.domain.errors import IssuerUnreachable
from credbroker.domain.outcomes import NotActedOn
from tests.unit.api.test_health import fall_silent, lose_vault
from tests.unit.broker.world import DAY, ISSUER, WANT_READ, World

NOTHING = GrantOutlook(None, None, None)


def days(count: float) -> datetime.timedelta:
    """Return so many days."""
    return datetime.timedelta(days=count)


async def test_all_is_well_while_a_grant_has_long_to_live() -> None:
    """And while its end is not known."""
    world = World()
    outlook = Outlook(world.replica().engine, world.clock, 7 * DAY)
    await world.give_grant()
    assert outlook.grant(world.grant) == NOTHING
    await world.rewrite(refresh_expires_at=world.clock.now() + days(30))
    assert outlook.grant(world.grant) == NOTHING


async def test_the_end_of_a_grant_that_no_refresh_moves_is_told() -> None:
    """A refresh of just now has left it at 3 days."""
    world = World()
    outlook = Outlook(world.replica().engine, world.clock, 7 * DAY)
    await world.give_grant()
    end = world.clock.now() + days(3)
    await world.rewrite(refresh_expires_at=end)
    assert outlook.grant(world.grant) == GrantOutlook(end, None, None)


async def test_how_long_tokens_last_is_told_only_while_nothing_new_is_fetched() -> None:
    """By this replica's token and by another's, whichever expires first."""
    world = World()
    one, two = world.replica("one"), world.replica("two")
    await world.give_grant()
    _, caller = await world.give_lease(one)
    minted = await one.minting.mint_access_token(caller, WANT_READ)
    world.clock.advance(60.0)
    await one.engine.beating.beat()
    await two.engine.beating.beat()
    outlook = Outlook(two.engine, world.clock, DAY)
    assert outlook.grant(world.grant).tokens_last_until is None
    fall_silent(two)
    told = outlook.grant(world.grant)
    assert told.trouble == (
        "The issuer 'cms' does not answer as it should, since 2026-06-01T12:01:00Z."
    )
    assert told.tokens_last_until == minted.token.expires_at
    lose_vault(world, two)
    assert outlook.grant(world.grant).trouble == (f"{told.trouble} OpenBao/Vault does not answer.")


async def test_an_issuer_that_asked_to_be_left_alone_is_told_until_when() -> None:
    """By its own Retry-After."""
    world = World()
    replica = world.replica()
    error = IssuerUnreachable("The issuer is busy or away.")
    replica.engine.gates[ISSUER].note(NotActedOn(error, retry_after_seconds=120.0))
    (issuer,) = Outlook(replica.engine, world.clock, DAY).issuers()
    assert issuer.trouble == ("The issuer 'cms' asked to be left alone until 2026-06-01T12:02:00Z.")


async def test_an_issuer_that_is_back_is_well_though_nobody_has_needed_it_yet() -> None:
    """A replica without a login would else call it down for ever, and its gauges with it."""
    world = World()
    replica = world.replica()
    fall_silent(replica)
    gate = replica.engine.gates[ISSUER]
    gate.probed(None)
    gate.offer(None)
    (issuer,) = Outlook(replica.engine, world.clock, DAY).issuers()
    assert (issuer.is_open, issuer.troubles) == (True, [])


async def test_a_grant_of_an_issuer_that_is_served_no_more_has_no_trouble_of_it() -> None:
    """There is no gate to look at."""
    world = World()
    outlook = Outlook(world.replica().engine, world.clock, DAY)
    await world.give_grant()
    gone = await world.rewrite(key=world.grant.key.__class__("gone", "ada", "default"))
    assert outlook.grant(gone) == NOTHING


async def test_what_a_narrower_token_costs_is_told_where_it_costs_a_refresh() -> None:
    """At an issuer that is seen to rotate, and neither exchanges nor has a mint here."""
    world = World()
    outlook = Outlook(world.replica().engine, world.clock, DAY)
    await world.give_grant()
    assert outlook.grant(world.grant) == NOTHING
    await world.rewrite(rotated=True)
    assert outlook.grant(world.grant).narrowing == (
        "The issuer 'cms' replaces the refresh token at each use, and narrower tokens can be had"
        " of it in no other way: each one is such a use."
    )
    world.issuer.exchanges = True
    assert outlook.grant(world.grant) == NOTHING
