"""A neighbour's own code in a program of its own, told line by line what to do.

- The program is `inside_NAME.py`, run by the Python of the environment NAME of `venvs`.
- It finds our certificate authority where `requests` looks for one, and little else around it.
- It is ended by its own id; what it complains of is in `NAME.log`.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.interop.neighbours.venvs import venv
from tests.interop.site import bare_environment

if TYPE_CHECKING:
    from collections.abc import Iterator


class Inside:
    """The program, which answers each line of JSON with one."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        """Speak to what runs."""
        self._running = running

    def tell(self, what: str, given: object) -> Any:
        """Have it do something; return what it answers."""
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        print(json.dumps([what, given]), file=self._running.stdin, flush=True)
        return json.loads(self._running.stdout.readline())


@contextmanager
def inside(name: str, *words: str, folder: Path, ca_file: Path) -> Iterator[Inside]:
    """Run a neighbour's program for a while; its home is `folder`, where its log goes too."""
    program = Path(__file__).with_name(f"inside_{name}.py")
    environment = {
        **bare_environment(),
        "HOME": str(folder),
        "REQUESTS_CA_BUNDLE": str(ca_file),
    }
    with (
        (folder / f"{name}.log").open("ab") as log,
        subprocess.Popen(
            [str(venv(name)), "-P", str(program), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
        ) as child,
    ):
        try:
            yield Inside(child)
        finally:
            child.kill()
