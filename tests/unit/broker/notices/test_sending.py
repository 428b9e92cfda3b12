"""A channel that does not work is left alone; whoever sends is answered."""

from __future__ import annotations

import asyncio

from credbroker.broker.notices.sending import Sending, Sent
from credbroker.broker.running import Deeds, Means
from credbroker.ports import Letter, LetterRefusedError, NoAnswerError, NotSentError
from tests.fakes.audit import FakeAudit
from tests.fakes.channel import FakeChannel
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy

LETTER = Letter("letter-1", "ada@example.org", "a subject", "a text", {})


def setting() -> tuple[FakeClock, FakeChannel, Sending, Deeds]:
    """Return one channel, and how it is sent by."""
    clock, channel = FakeClock(), FakeChannel()
    deeds = Deeds(clock)
    means = Means(FakeAudit(), clock, FakeEntropy(), deeds)
    return clock, channel, Sending("mail", channel, means), deeds


async def test_each_answer_says_what_became_of_a_letter() -> None:
    """Only what concerns all letters lets the channel rest."""
    _, channel, sending, _ = setting()
    assert await sending.send(LETTER) == (Sent.TOLD, "")
    channel.fail_next(LetterRefusedError("no such person", final=True))
    assert await sending.send(LETTER) == (Sent.TOLD, "no such person")
    channel.fail_next(LetterRefusedError("mailbox full", final=False))
    assert await sending.send(LETTER) == (Sent.NOT_NOW, "mailbox full")
    assert sending.is_open
    channel.fail_next(NoAnswerError())
    assert await sending.send(LETTER) == (Sent.UNCLEAR, "no answer came")
    assert not sending.is_open


async def test_it_rests_twice_as_long_each_time_and_a_quarter_of_an_hour_at_most() -> None:
    """One letter that is taken ends that."""
    clock, channel, sending, _ = setting()
    rests = []
    for _ in range(6):
        channel.fail_next(NotSentError("it is down"))
        await sending.send(LETTER)
        rested = 0
        while not sending.is_open:
            clock.advance(60)
            rested += 1
        rests.append(rested)
    assert rests == [1, 2, 4, 8, 15, 15]
    await sending.send(LETTER)
    channel.fail_next(NotSentError("it is down"))
    await sending.send(LETTER)
    clock.advance(60)
    assert sending.is_open


async def test_who_sends_is_answered_whatever_the_other_side_does() -> None:
    """After a minute and a half; the letter may have arrived."""
    clock, channel, sending, deeds = setting()
    channel.hangs = True
    sent = asyncio.ensure_future(sending.send(LETTER))
    await clock.pass_time(91)
    assert await sent == (Sent.UNCLEAR, "no answer in time")
    for task in list(deeds._unfinished):
        task.cancel()
