"""What must hold, told from what others saw: the issuers' journals, the witness, OpenBao, the files.

A post of a refresh token is open when the issuer acted on it, or may have as far as anybody else can
know. One open post is a refresh; a second is the one retry that some rules allow; a third is never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credbroker.demo.issuer import Endpoint
from credbroker.demo.issuer.journal import NOT_ACTED, OK, sha256_hex
from credbroker.domain.losses import RESTORED
from tests.chaos.houses import HIDING
from tests.chaos.pace import (
    ASK,
    CLAIM_SECONDS,
    GRACE,
    GRACE_SECONDS,
    REFRESH_SECONDS,
    RETRY_SAFE,
)

if TYPE_CHECKING:
    from credbroker.demo.issuer import Entry
    from tests.chaos.houses import House
    from tests.chaos.people import Loss
    from tests.chaos.witness import Write
    from tests.chaos.world import World

_SLACK_SECONDS = 1.0
_REVOKED_SECONDS = 20.0


@dataclass
class Findings:
    """Everything that was found wrong, as sentences, by the name of the rule."""

    third_posts: list[str] = field(default_factory=list)
    posts_beyond_rule: list[str] = field(default_factory=list)
    foreign_client_posts: list[str] = field(default_factory=list)
    used_before_stored: list[str] = field(default_factory=list)
    invalid_samples: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    explained: dict[str, int] = field(default_factory=dict)


def check(world: World) -> Findings:
    """Hold everything that was seen against the promises."""
    found = Findings()
    for house in world.houses:
        _check_posts(house, found)
    _check_deliveries(world, found)
    for sandbox in world.sandboxes.all:
        found.invalid_samples += [f"{sandbox.home.name}: {fault}" for fault in sandbox.faults]
    for loss in world.people.losses:
        why = explain(world, loss)
        if why:
            found.explained[why] = found.explained.get(why, 0) + 1
        else:
            found.unexplained.append(_told(world, loss))
    return found


def is_open(entry: Entry) -> bool:
    """True if nobody but the issuer can know that this post was not acted on."""
    return entry.outcome == OK or bool(HIDING & set(entry.faults))


def explain(world: World, loss: Loss) -> str:
    """Say which fault destroyed what had to be known for this grant; empty if none did."""
    house = world.house(loss.house)
    posts = house.issuer.posts_by_value().get(loss.refresh_sha256, [])
    if any(HIDING & set(one.faults) for one in posts):
        return "the issuer's answer was hidden"
    if _owner_was_killed(world, loss):
        return f"its owner was killed between {'post and store' if posts else 'claim and post'}"
    if _was_replayed(world, house, loss):
        return "a post that had been repeated by the rule reached the issuer's books much later"
    if _came_too_late(world, loss, posts):
        return "the answer came later than a broker waits, on a busy machine"
    if _was_rolled_back(world, house, loss):
        return "the issuer was rolled back"
    if _was_restored(world, loss):
        return "a snapshot was restored"
    return ""


def _check_posts(house: House, found: Findings) -> None:
    issued = {sha256_hex(one) for one in house.issuer.refresh_tokens_issued}
    for value, posts in house.issuer.posts_by_value().items():
        if value not in issued:
            continue  # made up, to see if the issuer is there
        for entry in posts:
            if entry.client_id != "credbroker":
                found.foreign_client_posts.append(f"{house.name} {value[:12]} by {entry.client_id}")
        if house.rotates:
            _check_repeats(house, value, posts, found)


def _check_repeats(house: House, value: str, posts: list[Entry], found: Findings) -> None:
    before: list[Entry] = []
    for entry in posts:
        open_before = [one for one in before if is_open(one)]
        told = f"{house.name} {value[:12]} " + ", ".join(
            f"{one.at:%H:%M:%S.%f} {one.outcome} {'+'.join(one.faults)}" for one in [*before, entry]
        )
        if len(open_before) >= 2:
            found.third_posts.append(told)
        if open_before and not _is_allowed(house, open_before, entry):
            found.posts_beyond_rule.append(told)
        before.append(entry)


def _is_allowed(house: House, open_before: list[Entry], entry: Entry) -> bool:
    """Tell if a value with open posts may be posted once more by the issuer's rule."""
    if house.rule == RETRY_SAFE:
        return True
    if house.rule == ASK or len(open_before) > 1:
        return False
    late = (entry.at - open_before[0].at).total_seconds() > GRACE_SECONDS + _SLACK_SECONDS
    return not (house.rule == GRACE and late)


def _check_deliveries(world: World, found: Findings) -> None:
    for given in world.people.deliveries:
        entry = world.house(given.house).issuer.entry_of(given.jti)
        if entry is None or not entry.successor_sha256:
            continue
        stored_at = world.witness.stored_at(entry.successor_sha256)
        if stored_at is None or stored_at > given.at:
            found.used_before_stored.append(f"{given.house} {given.jti} from {given.broker}")


def _owner_was_killed(world: World, loss: Loss) -> bool:
    """True if a claim's owner died with it, and what it had got lay in no spool yet."""
    for claim in world.witness.claims(loss.segment, loss.generation):
        owner = (claim.broker, claim.life)
        died = any(life == claim.life for _, life in world.fleet.brokers[claim.broker].deaths)
        spooled = world.points.spooled(*owner, loss.segment, loss.generation + 1)
        if died and claim.committed_at and not spooled and not _was_settled(world, claim):
            return True
    return False


def _came_too_late(world: World, loss: Loss, posts: list[Entry]) -> bool:
    """True if the broker had gone on only after all of its time, though nobody held the answer."""
    shift = _shift(world)
    posted_at = [one.at.timestamp() - shift for one in posts]
    went_on_at = [
        one.at
        for one in world.points.reached
        if (one.point, one.segment, one.generation) == ("answered", loss.segment, loss.generation)
    ]
    return any(
        any(at + REFRESH_SECONDS <= later <= at + CLAIM_SECONDS for later in went_on_at)
        for at in posted_at
    )


def _was_replayed(world: World, house: House, loss: Loss) -> bool:
    """True if the issuer decided about a hidden post only when its value had long been replaced.

    The rule had allowed the repeat, which succeeded; the first one then counted as a replay.
    """
    shift = _shift(world)
    values = {
        one.refresh_sha256
        for one in world.witness.writes
        if one.segment == loss.segment and one.generation < loss.generation
    }
    by_value = house.issuer.posts_by_value()
    return house.rule == GRACE and any(
        one.outcome not in {OK, NOT_ACTED}
        and bool(HIDING & set(one.faults))
        and one.decided_at is not None
        and one.decided_at.timestamp() - shift < loss.at
        for value in values
        for one in by_value.get(value, [])
    )


def _shift(world: World) -> float:
    """Return by how much the journals' clock is ahead of `Clock.elapsed`."""
    return world.clock.now().timestamp() - world.clock.elapsed()


def _was_settled(world: World, claim: Write) -> bool:
    """True if the owner itself had told, in time, what became of its claim."""
    return any(
        one.state != "claimed" and one.committed_at is not None and one.at > claim.at
        for one in world.witness.writes
        if (one.broker, one.life, one.segment) == (claim.broker, claim.life, claim.segment)
        and one.generation in {claim.generation, claim.generation + 1}
    )


def _was_rolled_back(world: World, house: House, loss: Loss) -> bool:
    """True if the issuer had an earlier state since the value was stored, or while it was posted."""
    stored_at = world.witness.stored_at(loss.refresh_sha256) or 0.0
    return any(stored_at <= until and since <= loss.at for since, until in house.rolled_back)


def _was_restored(world: World, loss: Loss) -> bool:
    """True if a backup brought back a value used since, or a claim whose end it did not know."""
    for taken_at, at in world.restored:
        stored = [
            (one.committed_at, one)
            for one in world.witness.writes
            if one.segment == loss.segment and one.committed_at and one.committed_at < at
        ]
        in_backup = [one for when, one in stored if when < taken_at + _SLACK_SECONDS]
        forgotten = [one for when, one in stored if when > taken_at - _SLACK_SECONDS]
        was_claimed = bool(in_backup) and in_backup[-1].state == "claimed"
        if at <= loss.at and (was_claimed or (loss.reason == RESTORED and forgotten)):
            return True
    return False


def _told(world: World, loss: Loss) -> str:
    what = f"generation {loss.generation} {loss.state} {loss.reason}"
    return "\n  ".join([f"{loss.person} {what} at {loss.at:.2f}", *timeline(world, loss)])


def timeline(world: World, loss: Loss) -> list[str]:
    """Return all that was seen of a lost generation, the one before and the one to follow."""
    near = range(loss.generation - 1, loss.generation + 2)
    writes = [
        one
        for one in world.witness.writes
        if one.segment == loss.segment and one.generation in near
    ]
    told = [
        (
            one.at,
            f"{one.broker}/{one.life} writes {one.state} {one.reason} generation {one.generation}"
            f" value {one.refresh_sha256[:6]} posts {one.posts}"
            + (f", taken at {one.committed_at:.2f}" if one.committed_at else ", not seen taken"),
        )
        for one in writes
    ]
    told += [
        (one.at, f"{one.broker}/{one.life} is at {one.point} generation {one.generation}")
        for one in world.points.reached
        if one.segment == loss.segment and one.generation in near
    ]
    told += _deaths(world, {(one.broker, one.life) for one in writes})
    told += _posts(world, loss, {one.refresh_sha256 for one in writes})
    told += _revocations(world, loss)
    return [f"{at:.2f} {what}" for at, what in sorted(told)]


def _deaths(world: World, lives: set[tuple[str, int]]) -> list[tuple[float, str]]:
    return [
        (at, f"{broker.name}/{life} is killed")
        for broker in world.fleet.brokers.values()
        for at, life in broker.deaths
        if (broker.name, life) in lives
    ]


def _revocations(world: World, loss: Loss) -> list[tuple[float, str]]:
    """Return what was revoked at the issuer shortly before; of whom, its journal does not say."""
    shift = _shift(world)
    told = [
        (one.at.timestamp() - shift, f"somebody's revocation: {one.outcome}")
        for one in world.house(loss.house).issuer.journal
        if one.endpoint is Endpoint.REVOKE
    ]
    return [one for one in told if loss.at - _REVOKED_SECONDS < one[0] < loss.at]


def _posts(world: World, loss: Loss, values: set[str]) -> list[tuple[float, str]]:
    shift = _shift(world)
    posts = world.house(loss.house).issuer.posts_by_value()
    return [
        (
            one.at.timestamp() - shift,
            f"post of {value[:6]}: {one.outcome} {' '.join(one.faults)} -> {one.successor_sha256[:6]}",
        )
        for value in values
        for one in posts.get(value, [])
    ]
