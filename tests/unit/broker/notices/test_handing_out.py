"""A notice is written down before it is sent, and settled afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.broker.notices.handing_out import About, HandingOut
from credbroker.broker.notices.sending import Sending
from credbroker.domain.errors import StoreUnavailable
from credbroker.domain.notices import Cause, Notice
from credbroker.ports import NotSentError, StaleVersionError
from tests.unit.broker.notices_world import NoticesWorld, means_of
from tests.unit.broker.world import ISSUER

NOTICE = Notice(Cause.LOST, 7, ("mail", "webhook"))
ABOUT = About(ISSUER)


def handing_out(around: NoticesWorld, most: int = 5) -> HandingOut:
    """Return what hands out by both channels of a world."""
    means = means_of(around.world, around.world.replica())
    ways = [Sending("mail", around.mail, means), Sending("webhook", around.webhook, means)]
    out = HandingOut(around.told, ways, means, public_url="https://broker.test")
    out.left = most
    return out


async def hand_out(out: HandingOut, place: str = "place") -> bool:
    """Hand the notice out by what is known now; return whether nothing is left of it."""
    done, _ = await out.hand_out(NOTICE, ABOUT, await out.known(place))
    return done


async def test_what_is_told_by_one_channel_and_not_by_the_other_is_half_done() -> None:
    """The record says which: the other one is as if it had never begun."""
    around = NoticesWorld()
    out = handing_out(around)
    around.mail.fail_next(NotSentError("it is down"), arrives=False)
    assert not await hand_out(out)
    told = (await out.known("place")).record.told
    assert [(by, one.sure) for by, one in told.items()] == [((Cause.LOST, "webhook"), True)]
    assert out.open_channels == ["webhook"]
    assert around.world.audit.events() == ["notice_failed", "notice_sent"]


async def test_a_death_between_sending_and_settling_leaves_perhaps() -> None:
    """Whoever looks next does not tell it again on that day."""
    around = NoticesWorld()
    out = handing_out(around)
    around.told.fail_next(StoreUnavailable("away"), on="put")
    with pytest.raises(StoreUnavailable):
        await hand_out(out)
    assert around.mail.tries == 0  # not even written down
    await hand_out(out)
    assert [one.sure for one in around.told.history[-2].told.values()] == [False, False]
    assert [one.sure for one in (await out.known("place")).record.told.values()] == [True, True]


async def test_a_notice_that_is_tried_again_keeps_its_id_and_the_next_has_its_own() -> None:
    """Who got one twice, because its answer was lost, can tell."""
    around = NoticesWorld()
    out = handing_out(around)
    around.webhook.fail_next(NotSentError("it is down"), arrives=True)
    await hand_out(out)
    around.world.clock.advance(3600)
    await hand_out(out)
    await out.hand_out(replace(NOTICE, mark=8), ABOUT, await out.known("place"))
    ids = [one.id for one in around.webhook.letters]
    assert len(ids) == 3
    assert ids[0] == ids[1] != ids[2]


async def test_who_comes_second_sends_nothing() -> None:
    """A record that another replica wrote meanwhile is not written over."""
    around = NoticesWorld()
    out = handing_out(around)
    known = await out.known("place")
    await hand_out(out)
    with pytest.raises(StaleVersionError):
        await out.hand_out(NOTICE, ABOUT, known)
    assert around.mail.tries == 1


async def test_no_more_go_out_in_a_round_than_may() -> None:
    """What is left over stays due."""
    around = NoticesWorld()
    out = handing_out(around, most=1)
    assert await hand_out(out, "one")
    assert not await hand_out(out, "two")
    assert around.mail.tries == 1
