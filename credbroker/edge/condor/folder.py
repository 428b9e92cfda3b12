"""HTCondor's folder of credentials, read and tidied without trusting what lies in it.

Every step goes through the folder's own descriptor and follows no link: the users' folders belong to
HTCondor's account, and whoever has that account must not lead root elsewhere. A user's folder may
vanish at any instant; then there is nothing there, which is no error. None is ever made here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.condor.names import is_on_disk

TOP = ".top"
USE = ".use"
META = ".meta"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_LARGEST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was seen: its number, and when it was last changed in any way, in ns and UTC."""

    inode: int
    changed_ns: int
    is_ours: bool
    """A plain file of root, or of who owns this program, that nobody else may read or write."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file held, and which file it was."""

    seen: Seen
    read: bytes


class Folder:
    """The folder, opened. It stays the same one, whatever becomes of its path."""

    def __init__(self, path: Path) -> None:
        """Open the folder at `path`.

        Raises:
            LocalFileUnfit: It is not there, cannot be used, or is open to everybody.
        """
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as failure:
            raise LocalFileUnfit(
                f"HTCondor's folder of credentials, {path}, cannot be opened: {_why(failure)}.",
                "Make it as HTCondor does: owner root, group condor, mode 2770.",
            ) from None
        mode = os.fstat(self._fd).st_mode
        if mode & stat.S_IRWXO or not os.access(".", os.R_OK | os.W_OK | os.X_OK, dir_fd=self._fd):
            self.close()
            raise LocalFileUnfit(
                f"{path} is open to everybody, or closed to this program.",
                f"Make it as HTCondor does: chown root:condor {path}; chmod 2770 {path}.",
            )

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._fd)

    def is_in_place(self) -> bool:
        """True if the path still leads to this folder."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def users(self) -> Iterator[tuple[str, int]]:
        """Walk the users' folders: each name, and when its list of files last changed, in ns.

        Raises `LocalFileUnfit` if the folder itself cannot be read.
        """
        try:
            with os.scandir(self._fd) as listed:
                entries = list(listed)
        except OSError as failure:
            raise LocalFileUnfit(f"{self.path} cannot be read: {_why(failure)}.") from None
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False) and is_on_disk(entry.name):
                    yield entry.name, entry.stat(follow_symlinks=False).st_mtime_ns

    def files(self, user: str) -> Mapping[str, Seen]:
        """Return the user's `.top`, `.use` and `.meta` files by name; empty if the user is gone.

        Raises `LocalFileUnfit` if that cannot be told for certain.
        """
        with self._user(user) as user_fd:
            if user_fd is None:
                return {}
            try:
                with os.scandir(user_fd) as entries:
                    names = [one.name for one in entries if one.name.endswith((TOP, USE, META))]
                found = ((name, _seen(name, user_fd)) for name in names if is_on_disk(name))
                return {name: seen for name, seen in found if seen is not None}
            except OSError as failure:
                raise _unread(user, failure) from None

    def glance(self, user: str, file: str) -> tuple[int, int] | None:
        """Return number and time of change of a file, None if it is not there.

        Quick, and good only for telling that a closer look is due.
        """
        try:
            found = os.stat(f"{user}/{file}", dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns

    def is_gone(self, user: str, file: str) -> bool:
        """True if it is certain that there is no such file; a failing disk makes nothing certain."""
        try:
            os.stat(f"{user}/{file}", dir_fd=self._fd, follow_symlinks=False)
        except OSError as failure:
            return failure.errno in _GONE
        return False

    def read(self, user: str, file: str) -> Content | None:
        """Return what a user's file holds; None if it is not there.

        Raises:
            LocalFileUnfit: It is no plain file of root or of HTCondor, too large or unreadable.
        """
        with self._user(user) as user_fd:
            if user_fd is None:
                return None
            try:
                return _content(file, user_fd)
            except FileNotFoundError:
                return None
            except OSError as failure:
                raise LocalFileUnfit(f"{file} cannot be read: {_why(failure)}.") from None

    def remove(self, user: str, file: str, only: Seen) -> bool:
        """Take away a user's file if it is still the one that was seen; say whether it was."""
        with self._user(user) as user_fd:
            if user_fd is None:
                return False
            try:
                if _seen(file, user_fd) != only:
                    return False
                os.unlink(file, dir_fd=user_fd)
            except OSError:
                return False
            return True

    def clear_leftovers(self, user: str, before_ns: int) -> None:
        """Take away what crashed programs have left of their writing, if it is older than that."""
        with self._user(user) as user_fd, contextlib.suppress(OSError):
            if user_fd is None:
                return
            with os.scandir(user_fd) as entries:
                names = [one.name for one in entries if one.name.startswith(whole_file.TEMPORARY)]
            for name in names:
                seen = _seen(name, user_fd)
                if seen is not None and seen.is_ours and seen.changed_ns < before_ns:
                    os.unlink(name, dir_fd=user_fd)

    def touch(self, name: str) -> None:
        """Make an empty file in the folder itself, or make it newer. Raises `LocalFileUnfit`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            opened = os.open(name, flags, 0o644, dir_fd=self._fd)
            try:
                os.utime(opened)
            finally:
                os.close(opened)
        except OSError as failure:
            raise LocalFileUnfit(f"{self.path / name} cannot be made: {_why(failure)}.") from None

    def clear(self, name: str) -> None:
        """Take away a file in the folder itself, if it is there. Raises `LocalFileUnfit`."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as failure:
            raise LocalFileUnfit(
                f"{self.path / name} cannot be removed: {_why(failure)}."
            ) from None

    @contextlib.contextmanager
    def _user(self, user: str) -> Iterator[int | None]:
        try:
            user_fd = os.open(user, _FOLDER, dir_fd=self._fd)
        except OSError as failure:
            if failure.errno not in _GONE:
                raise _unread(user, failure) from None
            yield None
            return
        try:
            yield user_fd
        finally:
            os.close(user_fd)


def _seen(name: str, user_fd: int) -> Seen | None:
    try:
        return _as_seen(os.stat(name, dir_fd=user_fd, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _as_seen(found: os.stat_result) -> Seen:
    private = stat.S_ISREG(found.st_mode) and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return Seen(found.st_ino, found.st_ctime_ns, private and found.st_uid in {0, os.geteuid()})


def _content(name: str, user_fd: int) -> Content:
    with os.fdopen(os.open(name, _FILE, dir_fd=user_fd), "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise LocalFileUnfit(f"{name} is not a plain file.")
        if found.st_uid not in {0, os.geteuid(), os.fstat(user_fd).st_uid}:
            raise LocalFileUnfit(f"{name} belongs to somebody else.")
        read = opened.read(_LARGEST_BYTES + 1)
    if len(read) > _LARGEST_BYTES:
        raise LocalFileUnfit(f"{name} is too large to be what it should be.")
    return Content(_as_seen(found), read)


def _unread(user: str, failure: OSError) -> LocalFileUnfit:
    return LocalFileUnfit(f"The folder of {user} cannot be read: {_why(failure)}.")


def _why(failure: OSError) -> str:
    if failure.errno == errno.ELOOP:
        return "it is a link"
    reason = failure.strerror or type(failure).__name__
    return reason[:1].lower() + reason[1:]
