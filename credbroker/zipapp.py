"""Builds `credbroker.pyz`: the part that needs Python 3.9 or later and nothing else, in one file.

The same sources give the same bytes: names are sorted and times are fixed. Run as
`python -m credbroker.zipapp dist/credbroker.pyz`.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = (
    "__init__.py",
    "__main__.py",
    "cli",
    "client",
    "delivery",
    "domain",
    "edge/__init__.py",
    "edge/agent.py",
    "edge/job",
    "edge/plan.py",
    "host/__init__.py",
    "host/clock.py",
    "host/entropy.py",
    "wire",
)
"""What goes in, below the package's folder: only rooms that use the standard library alone."""

LEFT_OUT = ("client/httpx_auth.py", "client/jupyter.py", "client/requests_auth.py")
"""What stays out of these: for programs that have other people's libraries anyway."""

_KINDS = {".py", ".bash", ".fish", ".zsh"}
_SHEBANG = b"#!/usr/bin/env python3\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_START = "import sys\nfrom credbroker.__main__ import main\nsys.exit(main())\n"


def build(target: Path) -> None:
    """Write the archive to `target`, executable; its folder is made if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        out.write(_SHEBANG)
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in sorted([("__main__.py", _START.encode()), *_sources()]):
                entry = zipfile.ZipInfo(name, _LONG_AGO)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
    target.chmod(0o755)


def _sources() -> Iterator[tuple[str, bytes]]:
    package = Path(__file__).parent
    for part in PARTS:
        place = package / part
        for source in [place] if place.is_file() else place.rglob("*"):
            if source.suffix in _KINDS and str(source.relative_to(package)) not in LEFT_OUT:
                yield str(source.relative_to(package.parent)), source.read_bytes()


def main(arguments: list[str]) -> int:
    """Build the archive named on the command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m credbroker.zipapp TARGET\n")
        return 2
    build(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
