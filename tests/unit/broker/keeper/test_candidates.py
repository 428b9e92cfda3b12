"""An issuer in trouble is tried with the grant that costs least; and how long people can wait."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace

from credbroker.broker.holding import HeldTokens
from credbroker.broker.keeper.candidates import HORIZON_KEPT_SECONDS, ROOM, Candidates
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import NotFound
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.fakes.clock import FakeClock
from tests.unit.broker.test_holding import READ, access_token

WHOLE = Right(ScopeSet.parse("storage.read:/ compute.read"))


def right_of(grant: Grant) -> Right:
    """Return the whole right, but for a role that is gone."""
    if grant.key.role == "gone":
        raise NotFound("The role 'gone' is not served any more.")
    return WHOLE


@dataclass
class Place:
    """A clock, tokens at hand, and the candidates."""

    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.held = HeldTokens(self.clock)
        self.candidates = Candidates(right_of, self.held, self.clock)

    def grant(self, credkey: str, tokens_seconds: float | None = None) -> Grant:
        """Return a ready grant whose last token expires in so many seconds."""
        now = self.clock.now()
        until = None if tokens_seconds is None else now + datetime.timedelta(seconds=tokens_seconds)
        return Grant(
            key=GrantKey("cms", credkey, "default"),
            line=f"line-{credkey}",
            issuer_url="https://issuer.test/",
            subject=f"sub-{credkey}",
            client_id="broker",
            scopes=WHOLE.scopes,
            refresh_token=Secret("refresh token", f"first-{credkey}"),
            generation=1,
            state=GrantState.READY,
            write_id="write-1",
            created_at=now,
            refreshed_at=now,
            tokens_until=until,
        )

    def serve(self, grant: Grant, seconds: float, right: Right = READ) -> datetime.datetime:
        """Have somebody live on a token of this grant; return when it expires."""
        token = access_token(self.clock, grant.key.credkey, seconds)
        self.held.put(grant.line, right, token)
        self.held.served(grant.key, grant.line, right, seconds / 2)
        return token.expires_at

    def order(self) -> list[str]:
        """Return who would be tried, in order."""
        return [wish.key.credkey for wish in self.candidates.of("cms")]


def test_the_throw_away_grant_comes_first_then_the_idle_then_who_can_wait_longest() -> None:
    """A grant whose tokens all expired is idle for certain."""
    place = Place()
    ada, bob, eve = (place.grant(name, 900) for name in ("ada", "bob", "eve"))
    idle, idler = place.grant("idle", 600), place.grant("idler", -600)
    for grant in (ada, bob, eve, idle, idler, place.grant(PROBE_CREDKEY, 900)):
        place.candidates.learn(grant)
    place.serve(ada, 1200)
    place.serve(ada, 300, WHOLE)
    place.serve(bob, 900)
    place.serve(eve, 600)
    assert place.order() == [PROBE_CREDKEY, "idler", "idle", "bob", "eve", "ada"]


def test_a_trial_of_an_idle_grant_counts_as_nobodys_use() -> None:
    """One on behalf of its consumers does, for the very right they live on."""
    place = Place()
    ada, idle = place.grant("ada"), place.grant("idle")
    place.candidates.learn(idle)
    place.serve(ada, 1200)
    wishes = list(place.candidates.of("cms"))
    assert [(wish.right, wish.kept) for wish in wishes] == [(WHOLE, True), (READ, False)]


def test_only_what_is_ready_and_served_here_is_tried() -> None:
    """And only at its own issuer."""
    place = Place()
    ada = place.grant("ada")
    place.candidates.learn(ada)
    place.candidates.learn(replace(ada, key=GrantKey("cms", "bob", "gone")))
    place.candidates.learn(replace(ada, key=GrantKey("atlas", "eve", "default")))
    assert place.order() == ["ada"]
    place.candidates.learn(replace(ada, state=GrantState.IN_DOUBT))
    assert place.order() == []


def test_few_are_remembered_and_the_throw_away_grant_always() -> None:
    """Nobody tries many."""
    place = Place()
    for number in range(1000):
        place.candidates.learn(place.grant(f"person-{number}"))
    place.candidates.learn(place.grant(PROBE_CREDKEY))
    assert len(place.order()) == ROOM + 1
    assert place.order()[0] == PROBE_CREDKEY


def test_the_horizon_is_the_first_end_of_a_token_that_somebody_lives_on() -> None:
    """Each issuer has its own; none where nobody lives on anything."""
    place = Place()
    assert place.candidates.horizon("cms") is None
    place.clock.advance(HORIZON_KEPT_SECONDS)
    place.serve(place.grant("ada"), 1200)
    first = place.serve(place.grant("bob"), 900)
    assert place.candidates.horizon("cms") == first
    assert place.candidates.horizon("atlas") is None
    place.clock.advance(900)
    assert place.candidates.horizon("cms") is None
