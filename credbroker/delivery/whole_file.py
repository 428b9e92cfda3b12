"""Replaces a small private file as a whole, and reads one with care.

At every instant the path holds either the old content or the new one, never part of either, and
the new one never has a wider mode or another owner than it ends with. Whatever fails, the old file
is as it was. Links to files are never written through, and links to folders only where they are
ours or root's. Who else may write the folder could swap the file, so a folder open to everybody must
have the sticky bit. For somebody else, and in a folder that is not root's or ours all the way, all is
done with the rights of that person alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Callable, Iterator, Optional, Tuple

from credbroker.delivery.acting import Owner, is_in_other_hands, rights_of
from credbroker.domain.errors import LocalFileUnfit

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.ports import Entropy

LARGEST_BYTES = 256 * 1024
Identity = Tuple[int, int, int]
"""Which file it is, whatever its path: device, number, and time of the last change of content."""

MayReplace = Callable[[bytes], bool]
"""Says, by its content, whether a file that is there may make room for a new one."""

TEMPORARY = ".credbroker-"
"""How the name of a file begins that is not in its place yet; a crash may leave one."""


class ForeignFile(LocalFileUnfit):
    """There is a file that somebody else made, and that is not to be replaced."""


def replace(
    path: Path,
    content: bytes,
    entropy: Entropy,
    *,
    mode: int = 0o600,
    owner: Optional[Owner] = None,
    as_owner: bool = False,
    may_replace: Optional[MayReplace] = None,
) -> Identity:
    """Put `content` at `path`, with exactly this mode whatever the umask; return which file it is.

    The content and then the folder are flushed to disk before this returns.

    Args:
        path: Where it goes; its folder exists.
        content: All of the new content, in bytes.
        entropy: Names the temporary file so that nobody can guess it.
        mode: The permission bits of the new file.
        owner: Its (uid, gid); None for whoever runs this.
        as_owner: Write with the rights of `owner` alone, which is done anyway where somebody could
            lead the path elsewhere.
        may_replace: Asked last, about the content of a file that is there; None replaces any.

    Raises:
        ForeignFile: `may_replace` said no to the file that is there, or it cannot be read.
        LocalFileUnfit: It cannot be written, or what is there is no plain file of ours.
    """

    def check() -> None:
        if may_replace is not None:
            _check_replaceable(path, folder_fd, may_replace)

    try:
        acting_for = owner if as_owner or _needs_care(path, owner) else None
        with rights_of(acting_for), _opened_folder(path.parent) as folder_fd:
            _check_folder(path.parent, folder_fd)
            _check_target(path, folder_fd, os.geteuid() if owner is None else owner[0])
            temporary = TEMPORARY + entropy.token(16)
            return _swap_in(path.name, temporary, folder_fd, (content, mode, owner), check)
    except OSError as failure:
        raise LocalFileUnfit(f"{path} cannot be written: {_why(failure)}.") from None


def check_room(path: Path, *, may_replace: Optional[MayReplace] = None) -> None:
    """Raise as `replace` does if it could not put a file of ours at `path` now."""
    try:
        with _opened_folder(path.parent) as folder_fd:
            _check_folder(path.parent, folder_fd)
            _check_target(path, folder_fd, os.geteuid())
            if may_replace is not None:
                _check_replaceable(path, folder_fd, may_replace)
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder_fd):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as failure:
        raise LocalFileUnfit(f"{path} cannot be written: {_why(failure)}.") from None


def is_there(path: Path, file: Identity) -> bool:
    """True if the file at `path` is this one still, as `replace` returned it."""
    try:
        return _identity(path.lstat()) == file
    except OSError:
        return False


def remove(path: Path, only: Optional[Identity] = None) -> bool:
    """Take away the file at `path`, if there is one; say whether it was taken away.

    Args:
        path: The file.
        only: Leave the file if it is not this one, as `replace` returned it; None for any.

    Raises:
        LocalFileUnfit: It cannot be removed.
    """
    try:
        if only is not None and _identity(path.lstat()) != only:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as failure:
        raise LocalFileUnfit(f"{path} cannot be removed: {_why(failure)}.") from None
    return True


def read(
    path: Path, *, private: bool, follow_links: bool = False, owner: Optional[Owner] = None
) -> Optional[bytes]:
    """Return the content of a plain file of ours or root's; None if there is no such file.

    Args:
        path: The file; a pipe or device in its place is refused, not waited for.
        private: Refuse a file that group or others may read or write.
        follow_links: Accept a symbolic link, for a path that the person chose.
        owner: Read a file of this (uid, gid) instead, with their rights alone; None for ours.

    Raises:
        LocalFileUnfit: It cannot be read, or is not what it must be.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    try:
        with rights_of(owner), os.fdopen(os.open(path, flags), "rb") as opened:
            _check_readable(path, os.fstat(opened.fileno()), private, owner)
            content = opened.read(LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as failure:
        raise LocalFileUnfit(f"{path} cannot be read: {_why(failure)}.") from None
    if len(content) > LARGEST_BYTES:
        raise LocalFileUnfit(f"{path} is too large to be what it should be.")
    return content


def _needs_care(path: Path, owner: Optional[Owner]) -> bool:
    return owner is not None and owner[0] != os.geteuid() and is_in_other_hands(path.parent)


@contextlib.contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(folder, flags)
    except OSError as failure:
        if failure.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        descriptor = os.open(_behind_link(folder), flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _behind_link(folder: Path) -> str:
    """Return where a link to a folder leads, if it is ours or root's: nobody is to lead us elsewhere.

    Who it belongs to and what it says are told by the link itself, which nobody can swap meanwhile.
    """
    link = os.open(folder, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(link)
        if not stat.S_ISLNK(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if found.st_uid not in {os.geteuid(), 0}:
            raise LocalFileUnfit(f"{folder} is a link that somebody else made.")
        return os.path.realpath(folder.parent / os.readlink("", dir_fd=link))
    finally:
        os.close(link)


def _check_folder(folder: Path, folder_fd: int) -> None:
    mode = os.fstat(folder_fd).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise LocalFileUnfit(
            f"Everybody may replace files in {folder}.",
            "Use a folder of your own, or set its sticky bit (chmod +t).",
        )


def _check_target(path: Path, folder_fd: int, owner: int) -> None:
    try:
        found = os.stat(path.name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise LocalFileUnfit(f"{path} is there already and is not a plain file.")
    if found.st_uid not in {owner, os.geteuid()}:
        raise LocalFileUnfit(f"{path} is there already and belongs to somebody else.")


def _check_replaceable(path: Path, folder_fd: int, may_replace: MayReplace) -> None:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(path.name, flags, dir_fd=folder_fd), "rb") as opened:
            may = may_replace(opened.read(LARGEST_BYTES))
    except FileNotFoundError:
        return
    except OSError:
        may = False
    if not may:
        raise ForeignFile(f"{path} was not made by this program, so it is not replaced.")


def _swap_in(
    name: str,
    temporary: str,
    folder_fd: int,
    new: Tuple[bytes, int, Optional[Owner]],
    check: Callable[[], None],
) -> Identity:
    try:
        written = _write_new(temporary, folder_fd, *new)
        check()
        os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:  # a signal's KeyboardInterrupt must not leave a secret behind either
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder_fd)
        raise
    # The new file is in place: a folder that cannot be flushed may at worst bring the old one back.
    with contextlib.suppress(OSError):
        os.fsync(folder_fd)
    return written


def _write_new(
    temporary: str, folder_fd: int, content: bytes, mode: int, owner: Optional[Owner]
) -> Identity:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder_fd), "wb") as opened:
        descriptor = opened.fileno()
        os.fchmod(descriptor, 0o600)  # a umask may have taken our own bits away
        opened.write(content)
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
        opened.flush()
        os.fsync(descriptor)
        return _identity(os.fstat(descriptor))


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _check_readable(
    path: Path, found: os.stat_result, private: bool, owner: Optional[Owner]
) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise LocalFileUnfit(f"{path} is not a plain file.")
    if found.st_uid not in {os.geteuid() if owner is None else owner[0], 0}:
        raise LocalFileUnfit(f"{path} belongs to somebody else.")
    if private and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise LocalFileUnfit(
            f"{path} can be read or written by others.",
            f"If nobody else has read it: chmod 600 {path}. Else end the lease and make a new one.",
        )


def _why(failure: OSError) -> str:
    reason = failure.strerror or type(failure).__name__
    return reason[:1].lower() + reason[1:]
