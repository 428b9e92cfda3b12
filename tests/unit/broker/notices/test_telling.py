"""People are told in time, once, and of nothing that is not so."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from credbroker.broker.notices import telling
from credbroker.domain.errors import StoreUnavailable
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import BRAKED
from credbroker.domain.names import GrantKey
from credbroker.domain.notices import Cause, Choice, Dependents
from credbroker.ports import LetterRefusedError, NoAnswerError, NotSentError
from tests.unit.broker.notices_world import ADDRESS, NoticesWorld
from tests.unit.broker.world import DAY, ISSUER, ROLE, SEGMENT

NOTE = "The issuer wants its usage policy (AUP) signed first."
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


@pytest.fixture
def around() -> NoticesWorld:
    """A world in which nothing was told."""
    return NoticesWorld()


async def test_a_login_at_rest_is_told_with_the_link_that_mends_it(around: NoticesWorld) -> None:
    """By mail and by webhook, once each, with what depends on it; and it is in the trail."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.job(replica, await around.person(replica))
    await around.is_now(told, GrantState.PAUSED, note=NOTE)
    for _ in range(3):
        await around.rounds(told)
    (letter,) = around.mail.letters
    assert letter.to == ADDRESS
    assert letter.subject == "your login at cms is at rest and needs you"
    for words in (
        NOTE,
        "https://issuer.test/",
        "run42 (192.0.2.7)",
        "1 job or program",
        "notices off",
    ):
        assert words in letter.text
    assert around.causes() == ["paused"]
    assert around.webhook.letters[0].event["jobs"] == 1
    assert around.world.audit.events().count("notice_sent") == 2
    assert around.world.audit.last("notice_sent")["cause"] == "paused"


@pytest.mark.parametrize(
    ("state", "subject"),
    [
        (GrantState.IN_DOUBT, "your login at cms is in doubt: log in again"),
        (GrantState.LOST, "your login at cms is lost: log in again"),
    ],
)
async def test_who_must_log_in_again_is_told_the_command(
    around: NoticesWorld, state: GrantState, subject: str
) -> None:
    """As the terminal would say it."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    await around.is_now(told, state)
    await around.rounds(told)
    assert around.subjects() == [subject]
    assert f"credbroker login {ISSUER} --role {ROLE}" in around.mail.letters[0].text


async def test_a_trouble_that_passes_by_itself_is_not_told(around: NoticesWorld) -> None:
    """It is given five minutes."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    await around.is_now(told, GrantState.IN_DOUBT)
    await around.rounds(told, seconds=120)
    await around.is_now(told, GrantState.CLAIMED)
    await around.rounds(told, seconds=120)
    await around.is_now(told, GrantState.READY)
    await around.rounds(told)
    assert (around.mail.tries, around.webhook.tries, told.telling.waiting) == (0, 0, 0)


async def test_the_end_of_a_login_is_told_once_a_job_would_outlast_it(
    around: NoticesWorld,
) -> None:
    """Jobs of a day do not care about an end in a week; never is it told afterwards."""
    replica = around.world.replica()
    told = around.notices(replica)
    caller = await around.person(replica)
    await around.ends_in(9)
    for _ in range(48):
        await around.job(replica, caller)
        told.telling.learn(around.world.grant)
        await around.rounds(told, seconds=0.25 * DAY)
    assert around.causes() == ["ends_in_1_day"]


async def test_what_lasts_beyond_the_end_is_told_at_each_of_the_three_times(
    around: NoticesWorld,
) -> None:
    """A program on an access point has its lease for weeks."""
    replica = around.world.replica()
    told = around.notices(replica)
    caller = await around.person(replica)
    await replica.leasing.shorten(caller)
    await around.ends_in(9)
    for _ in range(48):
        told.telling.learn(await around.world.rewrite(refreshed_at=around.world.clock.now()))
        await around.rounds(told, seconds=0.25 * DAY)
    assert around.causes() == ["ends_in_7_days", "ends_in_2_days", "ends_in_1_day"]
    assert len(around.mail.letters) == 3


async def test_nobody_is_told_of_a_login_that_nothing_depends_on(around: NoticesWorld) -> None:
    """Neither of its end nor, once its lease has run out, of its loss."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    await around.ends_in(1.5)
    told.telling.learn(around.world.grant)
    await around.rounds(told)
    around.world.clock.advance(29 * DAY)
    await around.is_now(told, GrantState.LOST)
    await around.rounds(told)
    assert (around.mail.tries, around.webhook.tries) == (0, 0)


async def test_a_new_login_or_a_logout_leaves_nothing_to_tell(around: NoticesWorld) -> None:
    """What was true when it was learnt is looked at anew."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    await around.is_now(told, GrantState.LOST)
    await around.world.rewrite(state=GrantState.ENDED, refresh_token=None)
    await around.rounds(told)
    assert (around.mail.tries, told.telling.waiting) == (0, 0)


async def test_replicas_and_restarts_do_not_repeat_a_notice(around: NoticesWorld) -> None:
    """What was told is in Vault: of two that look at the same time one tells."""
    first, second = around.world.replica("one"), around.world.replica("two")
    both = [around.notices(one) for one in (first, second)]
    await around.person(first)
    for one in both:
        await around.is_now(one, GrantState.LOST)
    around.world.clock.advance(600)
    await asyncio.gather(*(one.telling.once() for one in both))
    restarted = around.notices(around.world.replica("three"))
    restarted.telling.learn(around.world.grant)
    for _ in range(3):
        await around.rounds(*both, restarted)
    assert (len(around.mail.letters), len(around.webhook.letters)) == (1, 1)


async def test_one_of_a_cause_and_day_however_often_it_happens(around: NoticesWorld) -> None:
    """The same trouble after a refresh is told again, a day later at the earliest."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    for generation in range(2, 14):
        await around.is_now(told, GrantState.PAUSED, generation=generation)
        await around.rounds(told, seconds=2 * 3600)
    assert len(around.mail.letters) == 1
    await around.is_now(told, GrantState.PAUSED, generation=20)
    await around.rounds(told, seconds=3 * 3600)
    assert len(around.mail.letters) == 2


async def test_a_person_who_wants_no_mails_gets_none(around: NoticesWorld) -> None:
    """The operator's webhook is told all the same."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    await told.choosing.choose(Choice(ISSUER, "sub-ada", mail=False))
    await around.is_now(told, GrantState.LOST)
    await around.rounds(told)
    assert (around.mail.tries, around.causes()) == (0, ["lost"])


async def test_who_has_no_verified_address_gets_no_mail(around: NoticesWorld) -> None:
    """Also where there is no webhook to tell instead."""
    replica = around.world.replica()
    told = around.notices(replica, "mail")
    await around.person(replica)
    await around.world.rewrite(mail="")
    await around.is_now(told, GrantState.LOST)
    await around.rounds(told)
    assert (around.mail.tries, told.telling.waiting) == (0, 0)


async def test_a_mail_server_that_is_down_is_tried_later_and_delays_nothing(
    around: NoticesWorld,
) -> None:
    """The webhook is told at once; the mail goes out when the server is back, once."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    around.mail.down = NotSentError("the mail server is not reached")
    await around.is_now(told, GrantState.LOST)
    for _ in range(30):
        await around.rounds(told, seconds=60)
    assert around.causes() == ["lost"]
    assert 3 <= around.mail.tries <= 6  # it rests for longer each time
    assert around.world.audit.last("notice_failed")["why"] == "the mail server is not reached"
    around.mail.down = None
    for _ in range(30):
        await around.rounds(told, seconds=60)
    assert (len(around.mail.letters), len(around.webhook.letters)) == (1, 1)


async def test_a_mail_server_that_hangs_delays_nothing(around: NoticesWorld) -> None:
    """It is left after a minute and a half; the webhook was told meanwhile."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    around.mail.hangs = True
    await around.is_now(told, GrantState.LOST)
    around.world.clock.advance(600)
    going = asyncio.ensure_future(told.telling.once())
    await around.world.clock.pass_time(1)
    assert around.causes() == ["lost"]
    await around.world.clock.pass_time(100)
    assert going.done()
    for task in list(replica.deeds._unfinished):
        task.cancel()


async def test_what_may_have_been_told_is_not_told_again_that_day(around: NoticesWorld) -> None:
    """An answer that got lost is no reason for two mails; the next day it is tried once more."""
    replica = around.world.replica()
    told = around.notices(replica, "mail")
    await around.person(replica)
    around.mail.fail_next(NoAnswerError("no answer"), arrives=False)
    await around.is_now(told, GrantState.LOST)
    for _ in range(23):
        told.telling.learn(around.world.grant)
        await around.rounds(told, seconds=3600)
    assert around.mail.tries == 1
    for _ in range(3):
        told.telling.learn(around.world.grant)
        await around.rounds(told, seconds=3600)
    assert (around.mail.tries, len(around.mail.letters)) == (2, 1)


async def test_a_refused_recipient_is_that_persons_own_affair(around: NoticesWorld) -> None:
    """For good means for good; for now is tried again; nobody else waits for either."""
    replica = around.world.replica()
    told = around.notices(replica, "mail")
    await around.person(replica)
    around.mail.fail_next(LetterRefusedError("mailbox full", final=False))
    around.mail.fail_next(LetterRefusedError("no such person", final=True))
    await around.is_now(told, GrantState.LOST)
    for _ in range(5):
        await around.rounds(told, seconds=600)
    assert (around.mail.tries, told.telling.waiting) == (2, 0)


async def test_a_storm_of_losses_is_told_a_few_a_minute(around: NoticesWorld) -> None:
    """And one that fails again and again takes nobody's turn."""
    around.most_per_minute = 3
    replica = around.world.replica()
    told = around.notices(replica, "webhook")
    for number in range(10):
        key = GrantKey(ISSUER, f"person-{number}", ROLE)
        grant = await around.world.give_grant_to(key.credkey, f"value-{number}")
        await around.login(replica, key)
        stored = await around.world.grants.get(key.segment())
        assert stored is not None
        lost = replace(grant, state=GrantState.LOST)
        await around.world.grants.put(key.segment(), lost, stored.version)
        told.telling.learn(lost)
    counts = []
    for _ in range(4):
        await around.rounds(told)
        counts.append(len(around.webhook.letters))
    assert counts == [3, 6, 9, 10]


async def test_while_an_issuer_is_in_trouble_the_webhook_is_told_of_that_alone(
    around: NoticesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a day; people are told once it is over, if it still concerns them."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    troubles = {ISSUER: [Cause.ISSUER_BRAKED]}
    monkeypatch.setattr(
        told.telling, "_around", telling.Around(lambda: range(64), lambda: troubles)
    )
    await around.is_now(told, GrantState.LOST)
    for _ in range(30):
        await around.rounds(told, seconds=3600)
    assert (around.causes(), around.mail.tries) == (["issuer_braked"] * 2, 0)
    troubles.clear()
    await around.rounds(told)
    assert around.subjects() == ["your login at cms is lost: log in again"]


async def test_what_an_unbelieved_issuer_said_is_no_notice(around: NoticesWorld) -> None:
    """The brake is the operator's affair."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    await around.is_now(told, GrantState.PAUSED, reason=BRAKED)
    await around.rounds(told)
    assert (around.mail.tries, told.telling.waiting) == (0, 0)


async def test_a_vault_that_is_away_puts_a_notice_off(around: NoticesWorld) -> None:
    """Nothing is sent that was not written down before."""
    replica = around.world.replica()
    told = around.notices(replica, "webhook")
    await around.person(replica)
    await around.is_now(told, GrantState.LOST)
    around.told.fail_next(AWAY, on="put")
    await around.rounds(told)
    assert around.webhook.tries == 0
    await around.rounds(told)
    assert around.causes() == ["lost"]


async def test_the_keeper_and_whoever_stores_a_grant_tell_of_it(around: NoticesWorld) -> None:
    """A replica hears of what it stores itself, and of what its keeper reads after a restart."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica, state=GrantState.LOST)
    replica.engine.keeping.noted(around.world.grant)
    assert told.telling.waiting == 1
    later = around.world.replica("later")
    heard = around.notices(later)
    later.engine.keeping._learn(SEGMENT, around.world.grant)
    assert heard.telling.waiting == 1


async def test_what_cannot_be_told_now_is_looked_at_a_few_times_an_hour(
    around: NoticesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full mailbox fills no trail, and a mail server that is down has nobody's leases read in vain."""
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    looks = 0
    on = told.telling._depending.on

    async def counted(grant: Grant) -> Dependents:
        nonlocal looks
        looks += 1
        return await on(grant)

    monkeypatch.setattr(told.telling._depending, "on", counted)
    around.mail.down = LetterRefusedError("mailbox full", final=False)
    await around.is_now(told, GrantState.LOST)
    for _ in range(60):
        await around.rounds(told, seconds=60)
    assert 5 <= around.mail.tries <= 12
    around.mail.down = NotSentError("the mail server is not reached")
    looks = 0
    for _ in range(60):
        await around.rounds(told, seconds=60)
    assert looks <= 12
    assert around.causes() == ["lost"]
