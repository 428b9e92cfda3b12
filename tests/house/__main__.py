"""Print every finding, one a line; exit 1 when there is any."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.house import counterparts, doors, excuses, links, old_python, sizes, words
from tests.house.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKS: tuple[Callable[[Project], Iterator[str]], ...] = (
    sizes.modules_are_short,
    sizes.functions_are_short,
    sizes.most_functions_are_tiny,
    words.names_use_the_vocabulary,
    doors.secrets_are_revealed_in_few_rooms,
    doors.logs_are_configured_in_one_room,
    excuses.skipped_tests_say_why,
    excuses.ignored_types_say_why,
    counterparts.modules_have_their_tests,
    old_python.old_python_knows_all_names_and_syntax,
    old_python.old_python_evaluates_no_union,
    old_python.annotations_are_never_evaluated,
    links.links_lead_somewhere,
    links.links_elsewhere_are_whole,
)


def findings(root: Path) -> list[str]:
    """Return what every check finds in the project at `root`."""
    project = Project(root)
    return [finding for check in CHECKS for finding in check(project)]


def main() -> int:
    """Print the findings of this project and return the exit code."""
    found = findings(Path(__file__).parents[2])
    for finding in found:
        print(finding)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
