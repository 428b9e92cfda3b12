"""Our stand-in's options against those that the unmodified htgettoken says it has."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.htgettoken.options import TABLE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.htgettoken.install import Release

pytest_plugins = ["tests.interop.htgettoken.fixtures"]
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

OPTION = re.compile(r"^  (-.*?)(?:  |$)", re.MULTILINE)
SINCE_2_5 = ("--novaulttoken",)
OF_EVERY_PARSER = {("--version",), ("-h", "--help")}


def test_each_option_is_one_of_ours_and_takes_a_value_as_ours_does(
    htgettoken: Path, release: Release
) -> None:
    """By its short and its long name; ours has no others, but what came after that release."""
    shown = subprocess.run(
        [str(htgettoken / "htgettoken"), "--help"], check=True, capture_output=True, text=True
    ).stdout
    theirs = dict(map(read, OPTION.findall(shown)))
    ours = {names: value is not None for names, value, _, _ in TABLE}
    if release.version == "2.2":
        del ours[SINCE_2_5]
    assert {names: theirs[names] for names in theirs.keys() - OF_EVERY_PARSER} == ours
    assert list(theirs.keys())[2:] == list(ours)


def read(shown: str) -> tuple[tuple[str, ...], bool]:
    """Return an option's names as the help shows them, and whether it takes a value."""
    names = [re.split(r"[ =]", one)[0] for one in shown.split(", ")]
    return tuple(names), "=" in shown
