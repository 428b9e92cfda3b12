"""gfal2, unmodified, copies between two XRootD servers with the tokens that our issuer signs.

The program is the one of docs/neighbours/gfal2.md, the settings those of docs/neighbours/xrootd.md.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.interop.neighbours import xrootd
from tests.interop.neighbours.pages import block, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.neighbours.conftest import Storage

# Debian's packages belong to Debian's Python, whichever one runs the tests.
PYTHON = "/usr/bin/python3"
LIMIT_SECONDS = 40
_PACKAGES = "python3-gfal2 gfal2-util-scripts gfal2-plugin-http gfal2-plugin-file"


def missing_program() -> str | None:
    """Return a sentence about what has to be installed first, or None."""
    words = [PYTHON, "-c", "import gfal2"]
    try:
        there = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        there = False
    if not there or shutil.which("gfal-copy") is None:
        return f"gfal2 is not whole; install the packages {_PACKAGES}, then run this again."
    return xrootd.missing_program()


pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(missing_program() is not None, reason=str(missing_program())),
]

READ = "storage.read:/data"
WRITE, MODIFY = f"{READ} storage.create:/data", f"{READ} storage.modify:/data"


def test_a_copy_between_two_servers_takes_a_token_of_each(storage: Storage, tmp_path: Path) -> None:
    """The destination fetches the file: no byte of it comes here."""
    storage.source.store("/data/whole", b"all of it" * 10_000)
    reads, writes = storage.token(READ), storage.token(WRITE, storage.destination)
    done = copy(storage, tmp_path, "/data/whole", reads, writes)
    assert done.returncode == 0, done.stderr
    assert (storage.destination.area / "data/whole").read_bytes() == b"all of it" * 10_000


@pytest.mark.parametrize(("scope", "left"), [(WRITE, True), (MODIFY, False)])
def test_a_copy_that_fails_is_cleared_away_by_who_may_modify(
    storage: Storage, tmp_path: Path, scope: str, left: bool
) -> None:
    """With `storage.create` an empty file stays, which the next try may not replace."""
    path = f"/data/withheld-{left}"
    storage.source.store(path, b"stays")
    reads, writes = storage.token("storage.read:/other"), storage.token(scope, storage.destination)
    done = copy(storage, tmp_path, path, reads, writes)
    assert done.returncode != 0
    assert "TRANSFER ERROR" in done.stderr
    there = storage.destination.area / path[1:]
    assert there.exists() == left
    assert not left or there.read_bytes() == b""


def test_a_copy_needs_to_see_where_it_writes(storage: Storage, tmp_path: Path) -> None:
    """With `storage.create` alone it cannot tell whether the file is there."""
    storage.source.store("/data/unseen", b"unseen")
    reads, writes = storage.token(READ), storage.token("storage.create:/data", storage.destination)
    assert copy(storage, tmp_path, "/data/unseen", reads, writes).returncode != 0


def test_the_command_takes_the_token_of_its_environment(storage: Storage, tmp_path: Path) -> None:
    """Nothing about it is on the command line."""
    storage.source.store("/data/found", b"found")
    words = shlex.split(block("gfal2.md", "BEARER_TOKEN=").partition('" ')[2])
    names = {
        "davs://se.example.org:8443/dteam/data/one": davs(storage.source.url("/data/found")),
        "/home/ada": str(tmp_path),
    }
    for example, ours in names.items():
        words = [word.replace(example, ours) for word in words]
    done = run(words, storage, BEARER_TOKEN=storage.token(READ))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one").read_bytes() == b"found"


def copy(
    storage: Storage, folder: Path, path: str, reads: str, writes: str
) -> subprocess.CompletedProcess[str]:
    """Run the page's program about a file, with a token for each end."""
    (folder / "bt-source").write_text(reads)
    (folder / "bt-destination").write_text(writes)
    names = {
        "/run/user/1000": str(folder),
        "davs://se.example.org:8443": davs(storage.source.audience),
        "davs://se2.example.org:8443": davs(storage.destination.audience),
        "/data/one": path,
    }
    (folder / "copy.py").write_text(put(block("gfal2.md", "# copy.py"), names))
    return run([PYTHON, str(folder / "copy.py")], storage)


def run(words: list[str], storage: Storage, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that trusts the tests' authority."""
    trusting = {"PATH": os.defpath, "X509_CERT_DIR": str(storage.source.certificates)}
    return subprocess.run(
        words,
        env={**trusting, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def davs(url: str) -> str:
    """Return a URL as gfal2 calls it."""
    return url.replace("https:", "davs:")
