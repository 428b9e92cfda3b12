"""A person's robots are remembered once each, the last ones of too many."""

from __future__ import annotations

from credbroker.domain.names import GrantKey
from credbroker.domain.robots import MOST_ROBOTS, Robots


def test_a_robot_is_remembered_once_for_each_role() -> None:
    """Brought again, it counts as the last one."""
    robots = Robots("cms", "ada")
    for credkey, role in (("ada/a", "default"), ("ada/b", "default"), ("ada/a", "default")):
        robots = robots.added(credkey, role)
    assert robots.keys() == [
        GrantKey("cms", "ada/b", "default"),
        GrantKey("cms", "ada/a", "default"),
    ]
    assert len(robots.added("ada/a", "production").places) == 3


def test_no_record_grows_for_ever() -> None:
    """The ones that were brought first are let go."""
    robots = Robots("cms", "ada")
    for number in range(MOST_ROBOTS + 1):
        robots = robots.added(f"ada/{number}", "default")
    assert len(robots.places) == MOST_ROBOTS
    assert robots.places[0] == ("ada/1", "default")
