"""A person's choice lasts, is theirs alone, and is in the trail."""

from __future__ import annotations

from credbroker.domain.errors import StoreUnclear
from credbroker.domain.notices import Choice
from tests.unit.broker.notices_world import NoticesWorld
from tests.unit.broker.world import ISSUER

NO_MAIL = Choice(ISSUER, "sub-ada", mail=False)


async def test_mails_are_sent_until_somebody_chooses_otherwise() -> None:
    """For all logins of that person at that issuer, at every replica."""
    around = NoticesWorld()
    first = around.notices(around.world.replica("one")).choosing
    second = around.notices(around.world.replica("two")).choosing
    assert (await first.of(ISSUER, "sub-ada")).mail
    await first.choose(NO_MAIL, visit="visit-1")
    assert await second.of(ISSUER, "sub-ada") == NO_MAIL
    assert (await second.of(ISSUER, "sub-bob")).mail
    assert (await second.of("other", "sub-ada")).mail
    assert around.world.audit.last("notices_chosen") == {
        "event": "notices_chosen", "sub": "sub-ada", "mail": False, "visit": "visit-1",
    }  # fmt: skip


async def test_a_choice_made_twice_is_written_once() -> None:
    """Also where the answer to the first write got lost."""
    around = NoticesWorld()
    choosing = around.notices(around.world.replica()).choosing
    around.choices.fail_next(StoreUnclear("No answer."), acted=True, on="put")
    await choosing.choose(NO_MAIL)
    await choosing.choose(NO_MAIL)
    assert len(around.choices.history) == 1
    assert around.world.audit.events().count("notices_chosen") == 1
