"""Secrets that are used once: a job goes on whatever crashes, and a copy of its files is noticed."""

from __future__ import annotations

import dataclasses
import datetime
import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from credbroker.domain.errors import LeaseEnded, Malformed
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from credbroker.domain.starts import (
    LATE_SECONDS,
    MARK_DIGITS,
    MOST_STARTS,
    RANDOM_BYTES,
    Start,
    Starts,
    Verdict,
    check_hash,
    check_most,
    check_no_alarm,
    mark_of,
    next_secret,
)
from credbroker.host.entropy import SystemEntropy
from tests.unit.things import NOON

BY = Start(NOON, "192.0.2.7")
LATER = NOON + datetime.timedelta(seconds=LATE_SECONDS + 1)
"""When the last step was long ago."""
SERVED = {Verdict.START, Verdict.STEP, Verdict.REPEAT}


FIRST = Secret("lease", "f" * 43)
MARK = mark_of(FIRST)


def secret(name: str) -> Secret:
    """Return a secret that the job's agent chooses."""
    return next_secret(MARK, f"{name:0>27}")


ONE, TWO, THREE, FOUR = (secret(name) for name in ("one", "two", "three", "four"))
STRANGER = Secret("lease", "s" * 43)

Shown = tuple[Secret, Secret]
"""A secret that is shown, and the next one that is named by its hash."""


def fresh(most: int = 3) -> Starts:
    """Return what is known of a lease that nobody has used."""
    return Starts.of(FIRST, most)


def judged(starts: Starts, pair: Shown, now: datetime.datetime = LATER) -> Verdict:
    """Return what the pair means."""
    return starts.judge(pair[0], pair[1].digest(), now)


def after(starts: Starts, *pairs: Shown) -> Starts:
    """Return what is known after these pairs, each of which must be a start or a step."""
    for pair in pairs:
        assert judged(starts, pair) in {Verdict.START, Verdict.STEP}
        starts = starts.gone_on(pair[0].digest(), pair[1].digest(), BY)
    return starts


def test_each_secret_is_followed_by_the_one_it_named() -> None:
    """The first begins the chain, and is not needed again."""
    starts = after(fresh(), (FIRST, ONE), (ONE, TWO))
    assert judged(starts, (TWO, THREE)) is Verdict.STEP
    assert starts.made == (BY,)


def test_the_same_pair_again_is_the_same_request() -> None:
    """Whether it began the chain or went on with it."""
    assert judged(after(fresh(), (FIRST, ONE)), (FIRST, ONE)) is Verdict.REPEAT
    assert judged(after(fresh(), (FIRST, ONE), (ONE, TWO)), (ONE, TWO)) is Verdict.REPEAT


@pytest.mark.parametrize(
    ("shown", "following"),
    [
        (ONE, THREE),  # the secret shown last, with another next one
        (ONE, TWO),  # an older pair of the running chain
        (FIRST, ONE),  # the pair that began it
        (TWO, ONE),  # a next secret that was there before
        (TWO, TWO),
        (TWO, FIRST),
        (FIRST, TWO),
    ],
)
def test_what_only_a_second_holder_shows_is_the_alarm(shown: Secret, following: Secret) -> None:
    """Two steps were taken, and the second of them is not what is shown again."""
    starts = after(fresh(), (FIRST, ONE), (ONE, TWO))
    if (shown, following) == (ONE, TWO):
        starts = after(starts, (TWO, THREE))
    assert judged(starts, (shown, following)) is Verdict.REUSED


def test_a_request_that_was_held_up_on_its_way_raises_no_alarm() -> None:
    """The job lost its patience and asked elsewhere, and its first request is acted on after all.

    It gets nothing. Later, or of an older pair, it is somebody who kept a copy.
    """
    starts = after(fresh(), (FIRST, ONE), (ONE, TWO))
    assert judged(starts, (FIRST, ONE), NOON) is Verdict.LATE
    assert judged(starts, (FIRST, ONE)) is Verdict.REUSED
    assert judged(after(starts, (TWO, THREE)), (FIRST, ONE), NOON) is Verdict.REUSED
    started_anew = after(starts, (FIRST, THREE))
    assert judged(started_anew, (ONE, TWO), NOON) is Verdict.LATE
    assert judged(started_anew, (TWO, FOUR), NOON) is Verdict.REUSED


def test_a_new_chain_ends_the_one_before() -> None:
    """Whatever is shown of that one is the alarm: its last pair, and the secret that came next."""
    starts = after(fresh(), (FIRST, ONE), (ONE, TWO), (FIRST, THREE))
    assert len(starts.made) == 2
    for pair in ((TWO, FOUR), (ONE, TWO), (FIRST, ONE)):
        assert judged(starts, pair) is Verdict.REUSED
    assert judged(starts, (THREE, FOUR)) is Verdict.STEP


def test_a_job_starts_only_so_often() -> None:
    """One start too many is refused, and ends nothing: the running chain goes on."""
    starts = after(fresh(most=2), (FIRST, ONE), (FIRST, TWO))
    assert judged(starts, (FIRST, THREE)) is Verdict.SPENT
    assert judged(starts, (FIRST, TWO)) is Verdict.REPEAT
    assert judged(starts, (TWO, THREE)) is Verdict.STEP


def test_a_secret_that_was_never_there_raises_no_alarm() -> None:
    """Or anybody who knows a lease's id could stop its job."""
    starts = after(fresh(), (FIRST, ONE), (ONE, TWO))
    for following in (TWO, THREE, FIRST, STRANGER):
        assert judged(starts, (STRANGER, following)) is Verdict.UNKNOWN
    assert judged(fresh(), (STRANGER, ONE)) is Verdict.UNKNOWN


def test_however_many_steps_a_job_takes_an_old_copy_is_noticed_and_no_more_is_kept() -> None:
    """Each step writes all that is kept, for each of very many jobs."""
    starts, shown, sizes = fresh(), FIRST, set()
    for following in [ONE, *(secret(str(number)) for number in range(10_000))]:
        starts, shown = starts.gone_on(shown.digest(), following.digest(), BY), following
        sizes.add(len(repr(starts)))
    assert judged(starts, (ONE, STRANGER)) is Verdict.REUSED
    assert judged(starts, (secret("7"), STRANGER)) is Verdict.REUSED
    assert max(sizes) == len(repr(starts)) < 1000


def test_a_next_secret_is_of_a_leases_own_form_and_its_mark_tells_nothing_of_the_first() -> None:
    """It travels as the first one does, and nobody guesses it who knows another one of the lease."""
    chosen = next_secret(MARK, SystemEntropy().token(RANDOM_BYTES))
    token = LeaseToken("i" * 22, chosen)
    assert LeaseToken.parse(token.text().reveal()) == token
    assert chosen.beginning("mark", MARK_DIGITS).reveal() == MARK
    assert MARK not in FIRST.reveal() + FIRST.digest()
    assert MARK not in repr(fresh())


def test_an_alarm_is_told_with_its_time_and_address() -> None:
    """So that people can find out what happened."""
    check_no_alarm(fresh())
    with pytest.raises(LeaseEnded, match=r"192\.0\.2\.7 at 20.*UTC"):
        check_no_alarm(dataclasses.replace(fresh(), alarm=BY))


def test_an_alarm_tells_of_the_last_starts() -> None:
    """By them the person sees which of them was none of the job's; the lease can be shown no more."""
    made = tuple(Start(NOON, f"192.0.2.{number}") for number in range(5))
    with pytest.raises(LeaseEnded) as told:
        check_no_alarm(dataclasses.replace(fresh(), made=made, alarm=BY))
    for number, one in enumerate(made):
        assert (one.told() in told.value.sentence) is (number >= 2)


@pytest.mark.parametrize("most", [0, -1, MOST_STARTS + 1])
def test_a_job_starts_at_least_once_and_not_for_ever(most: int) -> None:
    """Each start is kept in the record."""
    assert check_most(1) == 1
    with pytest.raises(Malformed):
        check_most(most)


@pytest.mark.parametrize("named", ["", "ab", "A" * 64, "g" * 64, "0" * 65, "0" * 64 + "\n"])
def test_a_next_secret_is_named_by_its_hash_and_nothing_else(named: str) -> None:
    """The secret itself must not be sent before it is shown."""
    assert check_hash(ONE.digest()) == ONE.digest()
    with pytest.raises(Malformed):
        check_hash(named)


@dataclasses.dataclass
class Files:
    """What lies in a sandbox: the first secret, and the pair that is sent, if there is one yet."""

    first: Secret = FIRST
    pair: Shown | None = None


class Job:
    """Whoever keeps files and asks by them: an agent, or a thief who holds a copy."""

    def __init__(self, files: Files, new_secret: itertools.count[int]) -> None:
        """Begin where the files say; what was answered before is not known."""
        self.files = files
        self.answered = False
        self._new_secret = new_secret

    def write(self) -> None:
        """Choose the next secret and write the pair down, if the last pair was answered."""
        if self.files.pair is None or self.answered:
            shown = self.files.first if self.files.pair is None else self.files.pair[1]
            self.files.pair = (shown, secret(str(next(self._new_secret))))
            self.answered = False

    def sent(self) -> Shown:
        """Return the pair as it is sent."""
        assert self.files.pair is not None
        return self.files.pair


class Theft(RuleBasedStateMachine):
    """An agent that crashes and is started again anywhere, and a thief who copies its files.

    Until the thief has shown something the agent meets no alarm. Once two have gone on from the same
    files, whoever asks last meets it.
    """

    def __init__(self) -> None:
        """Begin with a lease that nobody has used."""
        super().__init__()
        self.numbers = itertools.count()
        self.begin()

    def begin(self) -> None:
        """Give the agent a lease that nobody has used, and the thief nothing."""
        self.known = fresh(MOST_STARTS)
        self.agent = Job(Files(), self.numbers)
        self.thief: Job | None = None
        self.thief_was_served = False
        self.alarm = False

    def ask(self, job: Job, *, answer_arrives: bool, broker_stores: bool = True) -> Verdict:
        """Let one of them ask, as the broker does; an answer or the broker may be lost on the way."""
        job.write()
        shown, following = job.sent()
        verdict = judged(self.known, (shown, following))
        if verdict is Verdict.REUSED:
            self.alarm = True
        if broker_stores and verdict in {Verdict.START, Verdict.STEP}:
            self.known = self.known.gone_on(shown.digest(), following.digest(), BY)
        job.answered = answer_arrives and broker_stores and verdict in SERVED
        return verdict

    @precondition(lambda self: not self.alarm)
    @rule(answer_arrives=st.booleans(), broker_stores=st.booleans())
    def agent_asks(self, answer_arrives: bool, broker_stores: bool) -> None:
        """The agent renews; it meets an alarm only if a thief was served."""
        verdict = self.ask(self.agent, answer_arrives=answer_arrives, broker_stores=broker_stores)
        if not self.thief_was_served:
            assert verdict in SERVED or verdict is Verdict.SPENT

    @precondition(lambda self: not self.alarm and self.thief is None)
    @rule()
    def a_request_is_held_up_while_the_agent_goes_on(self) -> None:
        """It is sent twice; the second overtakes the first, which comes after the next renewal."""
        self.agent.write()
        held_up = self.agent.sent()
        for _ in range(2):
            if self.ask(self.agent, answer_arrives=True) is Verdict.SPENT:
                return
        assert judged(self.known, held_up, NOON) is Verdict.LATE

    @precondition(lambda self: not self.alarm)
    @rule(before_writing=st.booleans())
    def agent_is_killed(self, before_writing: bool) -> None:
        """Before or after it has written the next pair; its files stay, all else is forgotten."""
        if not before_writing:
            self.agent.write()
        self.agent = Job(self.agent.files, self.numbers)

    @precondition(lambda self: not self.alarm)
    @rule()
    def batch_system_starts_it_again(self) -> None:
        """Elsewhere, with the files that it was submitted with."""
        self.agent = Job(Files(), self.numbers)

    @precondition(lambda self: not self.alarm)
    @rule(only_first=st.booleans())
    def thief_copies(self, only_first: bool) -> None:
        """All that lies there at some moment, or what the job was submitted with."""
        copied = Files() if only_first else dataclasses.replace(self.agent.files)
        self.thief = Job(copied, self.numbers)

    @precondition(lambda self: self.thief is not None and not self.alarm)
    @rule()
    def thief_asks(self) -> None:
        """He does what an agent does."""
        assert self.thief is not None
        if self.ask(self.thief, answer_arrives=True) in SERVED:
            self.thief_was_served = True

    @precondition(lambda self: self.thief_was_served and not self.alarm)
    @rule()
    def both_go_on(self) -> None:
        """Once both have renewed twice more, the alarm has been raised."""
        assert self.thief is not None
        for one in (self.thief, self.agent) * 2:
            if self.ask(one, answer_arrives=True) is Verdict.SPENT:
                return
        assert self.alarm

    @precondition(lambda self: self.alarm)
    @rule()
    def another_job(self) -> None:
        """The lease is over; the person makes a new one."""
        self.begin()

    @invariant()
    def one_chain_runs(self) -> None:
        """What is shown next is not what was shown last."""
        assert self.known.present != self.known.shown or not self.known.present


Theft.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestTheft = Theft.TestCase
