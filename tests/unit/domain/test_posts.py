"""No refresh-token value is ever posted a third time, whatever happens in whatever order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credbroker.domain.errors import CredbrokerError
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.outcomes import NotActedOn, Outcome
from credbroker.domain.rotation import (
    MOST_POSTS,
    Judgement,
    Rule,
    UnclearRule,
    claim,
    log_out,
    outdated,
    release,
    settle,
    settle_left_claim,
    succeed,
)
from credbroker.domain.secret import Secret
from tests.unit.domain.test_rotation import DEAD, DOWN, PAUSE, RULES, UNCLEAR, judged, renewed
from tests.unit.things import NOON, grant

READY, PAUSED = GrantState.READY, GrantState.PAUSED
IN_DOUBT, ENDED = GrantState.IN_DOUBT, GrantState.ENDED


@dataclass
class Life:
    """A grant, an issuer that sees each post, and the time; `open` are posts nothing was proven of."""

    grant: Grant = field(default_factory=grant)
    now: float = 0.0
    written_at: float = 0.0
    count: int = 0
    open: Counter[str] = field(default_factory=Counter)
    first_open_at: dict[str, float] = field(default_factory=dict)

    @property
    def value(self) -> str:
        """The refresh token there is."""
        assert self.grant.refresh_token is not None
        return self.grant.refresh_token.reveal()

    def new(self) -> str:
        """Return something that was never there."""
        self.count += 1
        return f"new-{self.count}"

    def write(self, after: Grant) -> None:
        """Store a record now."""
        self.grant, self.written_at = after, self.now

    def use(self, rule: Rule, outcome: str, waited: float, took: float) -> None:
        """Wait, and refresh if that is allowed then; the outcome comes after `took` seconds."""
        self.now += waited
        try:
            judgement = judged(self.grant, self.now - self.written_at, rule)
        except CredbrokerError:
            return
        assert judgement is Judgement.GO, "nobody leaves a claim behind here"
        value, retry = self.value, self.grant.state is IN_DOUBT
        claimed = claim(self.grant, "r", self.new(), self.now - self.written_at)
        if retry and rule.kind is UnclearRule.GRACE:
            assert self.now < self.first_open_at[value] + rule.grace_seconds
        self.open[value] += 1
        self.first_open_at.setdefault(value, self.now)
        self.now += took
        self.write(self.ended(claimed, rule, outcome, took))
        if self.is_proven(claimed, rule, outcome):
            self.open[value] -= 1
        if not self.open[value] or outcome in {"same", "rotated"}:
            self.open[value] = 0
            self.first_open_at.pop(value, None)
        free = self.grant.state in {READY, PAUSED}
        assert not (free and self.open[self.value]), "what may be posted freely has no open post"

    def ended(self, claimed: Grant, rule: Rule, outcome: str, took: float) -> Grant:
        """Return what follows."""
        if outcome == "crash":
            return settle_left_claim(claimed, rule, self.new(), took)
        outcomes: dict[str, Outcome] = {
            "same": renewed(None),
            "rotated": renewed(self.new()),
            "not acted": NotActedOn(DOWN),
            "paused": PAUSE,
            "dead": DEAD,
            "braked": DEAD,
            "unclear": UNCLEAR,
        }
        believed = outcome != "braked"
        return settle(
            claimed, outcomes[outcome], rule, self.new(), NOON, believed=believed, seconds=took
        )

    @staticmethod
    def is_proven(claimed: Grant, rule: Rule, outcome: str) -> bool:
        """True if the issuer, or its rule, says that this post changed nothing."""
        safe = rule.kind is UnclearRule.RETRY_SAFE and not claimed.rotated
        return outcome in {"not acted", "paused", "braked"} or (
            safe and outcome in {"unclear", "crash"}
        )


OUTCOMES = ["same", "rotated", "not acted", "paused", "dead", "braked", "unclear", "crash"]
# What leads into doubt and leaves there comes up more often than what ends a story.
outcomes = st.sampled_from(OUTCOMES) | st.sampled_from(["unclear", "crash", "not acted"])
times = st.sampled_from([0.0, 10.0, 29.0, 60.0, 89.0])
uses = st.tuples(outcomes, times, times)
deeds = st.sampled_from(["log in", "log out", "restored", "released"])
steps = st.lists(st.one_of(uses, uses, uses, deeds), max_size=12)
MANY = settings(max_examples=300)


def lived(life: Life, step: tuple[str, float, float] | str, rule: Rule) -> None:
    """Let one thing happen, where it can."""
    if isinstance(step, tuple):
        life.use(rule, *step)
    elif step == "log in":
        value = Secret("refresh token", life.new())
        life.write(succeed(life.grant, grant(refresh_token=value, write_id=life.new())))
    elif step == "log out":
        life.write(log_out(life.grant, life.new()))
    elif step == "restored" and life.grant.state is not ENDED:
        life.write(outdated(life.grant, life.grant.generation + 1, life.new()))
    elif step == "released" and life.grant.state is PAUSED:
        life.write(release(life.grant, life.new()))


@pytest.mark.parametrize("rule", RULES)
@given(steps)
@MANY
def test_no_value_is_posted_a_third_time(
    rule: Rule, story: list[tuple[str, float, float] | str]
) -> None:
    """Over any sequence of events; and only once where the rule allows no retry."""
    life = Life()
    retries = rule.kind in {UnclearRule.GRACE, UnclearRule.ONCE_MORE}
    for step in story:
        generation = life.grant.generation
        lived(life, step, rule)
        assert life.grant.generation >= generation
        assert max(life.open.values(), default=0) <= (MOST_POSTS if retries else 1)
        assert life.grant.posts <= MOST_POSTS


@given(st.lists(st.tuples(uses, st.sampled_from(RULES)), max_size=12))
@MANY
def test_no_value_is_posted_a_third_time_though_the_rule_changes(
    story: list[tuple[tuple[str, float, float], Rule]],
) -> None:
    """An operator sets another rule from one post to the next; what is written in the claim counts."""
    life = Life()
    for step, rule in story:
        lived(life, step, rule)
        assert max(life.open.values(), default=0) <= MOST_POSTS
