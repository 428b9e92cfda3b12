"""Rights of somebody else: what a folder's owner could not do, is not done for them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery.acting import is_in_other_hands, rights_of
from credbroker.domain.errors import LocalFileUnfit
from tests.people import EVE, as_root, hall

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hall"]


@as_root
def test_what_is_made_belongs_to_the_person(hall: Path) -> None:
    """Owner and group are right from the first instant, without a change of owner."""
    hall.chmod(0o777)
    with rights_of(EVE):
        (hall / "theirs").touch()
    (hall / "ours").touch()
    found = (hall / "theirs").stat()
    assert (found.st_uid, found.st_gid) == EVE
    assert (hall / "ours").stat().st_uid == 0


@as_root
def test_root_reads_and_writes_nothing_that_the_person_could_not(hall: Path) -> None:
    """The kernel refuses, whatever path led there; afterwards root is root again."""
    secret = hall / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    with rights_of(EVE):
        for deed in (secret.read_text, lambda: secret.write_text("eve's"), secret.unlink):
            with pytest.raises(PermissionError):
                deed()
    assert secret.read_text() == "root's"


@as_root
@pytest.mark.parametrize("number", [2**31, 2**32 - 2])
def test_large_numbers_are_people_too(hall: Path, number: int) -> None:
    """Some sites give people uids past two thousand million."""
    hall.chmod(0o777)
    with rights_of((number, number)):
        (hall / "theirs").touch()
    (hall / "ours").touch()
    assert [(hall / name).stat().st_uid for name in ("theirs", "ours")] == [number, 0]


@as_root
def test_only_the_thread_that_asks_is_changed(hall: Path) -> None:
    """Another one writes at the same time where only root may."""
    seen = []

    def elsewhere() -> None:
        (hall / "ours").touch()
        seen.append((hall / "ours").stat().st_uid)

    with rights_of(EVE):
        other = threading.Thread(target=elsewhere)
        # A thread starts with the rights of the one that starts it, so it has to be there before.
        with rights_of(None), pytest.raises(PermissionError):
            elsewhere()
    other.start()
    other.join()
    assert seen == [0]


@as_root
def test_an_error_on_the_way_gives_the_rights_back(hall: Path) -> None:
    """Or root would go on as somebody else."""
    with pytest.raises(ValueError), rights_of(EVE):
        raise ValueError
    (hall / "ours").touch()
    assert (hall / "ours").stat().st_uid == 0


def test_acting_for_oneself_or_for_nobody_changes_nothing(hall: Path) -> None:
    """So the same code serves a program that is not root."""
    for owner in (None, (os.geteuid(), os.getegid())):
        with rights_of(owner):
            (hall / "own").touch()
        assert (hall / "own").stat().st_uid == os.geteuid()


@as_root
def test_who_may_not_act_for_others_is_told(hall: Path) -> None:
    """A person's own program cannot write as somebody else, and says what it lacks."""

    def try_it() -> int:
        os.setresuid(64002, 64002, 64002)
        try:
            with rights_of(EVE):
                return 1
        except LocalFileUnfit as unfit:
            return 0 if "CAP_SETUID" in unfit.remedy else 2

    child = os.fork()
    if child == 0:
        os._exit(try_it())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@as_root
def test_a_path_is_in_other_hands_if_any_step_of_it_is(hall: Path) -> None:
    """A person's folder, one that everybody may write, a link to either; not what root leads to."""
    (hall / "deep" / "deeper").mkdir(parents=True)
    (hall / "link").symlink_to(hall / "deep")
    assert not is_in_other_hands(hall / "link" / "deeper")
    assert not is_in_other_hands(hall / "not" / "there")
    hall.chmod(0o1777)
    assert not is_in_other_hands(hall / "deep"), "as /tmp is"
    hall.chmod(0o777)
    assert is_in_other_hands(hall / "deep")
    hall.chmod(0o755)
    os.chown(hall / "deep", *EVE)
    assert is_in_other_hands(hall / "deep" / "deeper")
    assert is_in_other_hands(hall / "link")
    (hall / "hers").symlink_to("/")
    os.lchown(hall / "hers", *EVE)
    assert is_in_other_hands(hall / "hers" / "etc")
    (hall / "round").symlink_to(hall / "round")
    assert is_in_other_hands(hall / "round" / "about")
