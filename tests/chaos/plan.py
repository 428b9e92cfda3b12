"""Which faults a campaign has, how many of each, and in which lane they come.

The table says how many there are when 1000 are asked for. A smaller campaign takes a share that the
seed decides, and says what it left out. Kinds that last long come at least as often as `least` says
once the campaign is large.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credbroker.ports import Waypoint

if TYPE_CHECKING:
    from tests.chaos.dice import Dice

BROKER, VAULT, ANSWERS, ISSUER, DISK = "broker", "vault", "answers", "issuer", "disk"
LANES = {BROKER: 3, VAULT: 1, ANSWERS: 1, ISSUER: 1, DISK: 1}
"""How many faults of a lane are under way at once."""
WHOLE = 1000
CLOCKS = {"+1h": 3600.0, "-1h": -3600.0, "+2d": 172800.0, "-2d": -172800.0}
LONG_POINTS = ("connected", "claimed", "answered", "stored")
POINTS = tuple(point.value for point in Waypoint)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its lane, and how often it comes in a thousand."""

    name: str
    lane: str
    in_a_thousand: int


def _kinds() -> tuple[Kind, ...]:
    return (
        *(Kind(f"kill@{point}", BROKER, 20) for point in POINTS),
        *(Kind(f"stop@{point}", BROKER, 20) for point in POINTS),
        *(Kind(f"stop_longer_than_claim@{point}", BROKER, 4) for point in LONG_POINTS),
        *(Kind(f"clock{off}", BROKER, 3) for off in CLOCKS),
        Kind("wrong_client_id", BROKER, 4),
        Kind("spool_disk_full", BROKER, 4),
        Kind("leader_killed", VAULT, 24),
        Kind("leader_stopped", VAULT, 14),
        Kind("all_nodes_down", VAULT, 3),
        Kind("snapshot_restored", VAULT, 3),
        Kind("claim_answer_dropped", ANSWERS, 150),
        Kind("store_answer_dropped", ANSWERS, 150),
        Kind("issuer_delay", ISSUER, 40),
        Kind("issuer_late", ISSUER, 40),
        Kind("issuer_answer_lost", ISSUER, 40),
        Kind("issuer_request_lost", ISSUER, 30),
        Kind("issuer_html", ISSUER, 30),
        Kind("issuer_500", ISSUER, 30),
        Kind("issuer_429", ISSUER, 36),
        Kind("wrong_secret", ISSUER, 5),
        Kind("issuer_rolled_back", ISSUER, 3),
        Kind("sandbox_disk_full", DISK, 6),
    )


KINDS = _kinds()
NAMES = tuple(kind.name for kind in KINDS)
_TOO_LONG = {
    "wrong_client_id", "all_nodes_down", "snapshot_restored", "wrong_secret",
    "issuer_rolled_back", *(f"clock{off}" for off in CLOCKS),
}  # fmt: skip
SHORT_NAMES = tuple(name for name in NAMES if name not in _TOO_LONG)
"""What takes effect, and passes, within seconds."""


@dataclass(frozen=True)
class Plan:
    """The faults of each lane, in order, and the kinds that are not in it."""

    lanes: dict[str, list[str]]
    left_out: list[str]

    @property
    def count(self) -> int:
        """How many faults there are."""
        return sum(len(one) for one in self.lanes.values())


def share(count: int, dice: Dice, only: tuple[str, ...] = ()) -> Plan:
    """Plan `count` faults, of these kinds or of all."""
    kinds = [kind for kind in KINDS if not only or kind.name in only]
    wanted = _wanted(count, kinds, dice)
    lanes: dict[str, list[str]] = {lane: [] for lane in LANES}
    for kind in kinds:
        lanes[kind.lane] += [kind.name] * wanted[kind.name]
    left_out = [kind.name for kind in KINDS if not wanted[kind.name]]
    return Plan({lane: dice.shuffled(names) for lane, names in lanes.items()}, left_out)


def _wanted(count: int, kinds: list[Kind], dice: Dice) -> Counter[str]:
    """Scale each kind; what is left over by rounding is drawn."""
    total = sum(kind.in_a_thousand for kind in kinds)
    wanted: Counter[str] = Counter()
    parts = {}
    for kind in kinds:
        exact = count * kind.in_a_thousand / total
        wanted[kind.name] = int(exact)
        if count >= WHOLE:
            wanted[kind.name] = max(int(exact), kind.in_a_thousand)
        parts[kind.name] = exact - int(exact)
    missing = max(0, count - wanted.total())
    drawn = sorted(parts, key=lambda name: parts[name] * dice.fraction(), reverse=True)
    for number in range(missing):
        wanted[drawn[number % len(drawn)]] += 1
    return wanted
