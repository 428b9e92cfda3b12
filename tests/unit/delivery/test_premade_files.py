"""Whatever stands in a token file's place before a write: it is refused, or put right by each write."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credbroker.delivery import token_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret
from credbroker.host.entropy import SystemEntropy

STRANGER = 54_321


@dataclass(frozen=True)
class Scene:
    """A token file's place, and somebody's file beside it."""

    path: Path
    other: Path

    def clear(self) -> None:
        """Leave nothing but somebody's file."""
        for one in (self.path, self.other):
            one.unlink(missing_ok=True)
        self.other.write_text("theirs")


Plant = Callable[[Scene], object]


def _wide_open(scene: Scene) -> None:
    scene.path.write_text("an old token")
    scene.path.chmod(0o666)


def _strangers(scene: Scene) -> None:
    scene.path.write_text("a stranger's")
    os.chown(scene.path, STRANGER, STRANGER)


CORRECTED: dict[str, Plant] = {
    "nothing": lambda _: None,
    "a file that others may write": _wide_open,
    "a hard link": lambda scene: os.link(scene.other, scene.path),
    "an empty file": lambda scene: scene.path.touch(),
}
REFUSED: dict[str, Plant] = {
    "a link": lambda scene: scene.path.symlink_to(scene.other),
    "a link that leads nowhere": lambda scene: scene.path.symlink_to(scene.path.with_name("none")),
    "a pipe": lambda scene: os.mkfifo(scene.path),
}
if os.geteuid() == 0:
    REFUSED["a stranger's file"] = _strangers
PLANTS = CORRECTED | REFUSED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    story=st.lists(
        st.tuples(st.sampled_from(sorted(PLANTS)), st.integers(0, 0o777)), min_size=1, max_size=6
    )
)
def test_each_write_refuses_or_corrects_what_was_planted(
    tmp_path: Path, story: list[tuple[str, int]]
) -> None:
    """The first write and every later one, under any umask; the neighbour's file stays as it is."""
    scene = Scene(tmp_path / "token", tmp_path / "other")
    before = os.umask(0o022)
    try:
        for number, (plant, umask) in enumerate(story):
            os.umask(0o022)
            scene.clear()
            PLANTS[plant](scene)
            os.umask(umask)
            _write_and_check(scene, plant, f"token-{number}")
    finally:
        os.umask(before)


def _write_and_check(scene: Scene, plant: str, token: str) -> None:
    was = scene.path.lstat() if plant in REFUSED else None
    secret = Secret("access token", token)
    if was is not None:
        with pytest.raises(LocalFileUnfit):
            token_file.write(scene.path, secret, SystemEntropy())
        assert scene.path.lstat() == was
    else:
        token_file.write(scene.path, secret, SystemEntropy())
        found = scene.path.lstat()
        assert scene.path.read_text() == token
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, os.geteuid())
    assert scene.other.read_text() == "theirs"
    assert {one.name for one in scene.path.parent.iterdir()} == {"token", "other"}
