"""What HTCondor expects of a credmon besides tokens: a pid to signal, a mark, a word that it is ready.

The pid file is written when a signal can be answered, and taken away at the end, so that nobody who
gets the number later is signalled. A credmon that works beside another leaves both files to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from dataclasses import dataclass

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.condor.folder import Folder
from credbroker.ports import Entropy

PID = "pid"
COMPLETE = "CREDMON_COMPLETE"
_BINDINGS = ("htcondor2", "htcondor")


@dataclass(frozen=True, slots=True)
class Duties:
    """The files of one credmon in its folder; `alongside` another it has none."""

    folder: Folder
    entropy: Entropy
    alongside: bool = False

    def begin(self) -> None:
        """Say that nothing is complete yet, and whom to signal. Raises `LocalFileUnfit`."""
        if self.alongside:
            return
        self.folder.clear(COMPLETE)
        pid = f"{os.getpid()}\n".encode()
        whole_file.replace(self.folder.path / PID, pid, self.entropy, mode=0o644)

    def complete(self) -> None:
        """Say that everything there was has been looked at. Raises `LocalFileUnfit`."""
        if not self.alongside:
            self.folder.touch(COMPLETE)

    def end(self) -> None:
        """Take the pid away if it is this one."""
        if self.alongside:
            return
        with contextlib.suppress(LocalFileUnfit):
            path = self.folder.path / PID
            if whole_file.read(path, private=False) == f"{os.getpid()}\n".encode():
                self.folder.clear(PID)


async def tell_master() -> str | None:
    """Tell HTCondor's master that its daemon is ready; return why that was not done, if so."""
    if "CONDOR_INHERIT" not in os.environ:
        return "no condor_master has started this"
    for name in _BINDINGS:
        try:
            bindings = importlib.import_module(name)
        except ImportError:
            continue
        try:
            await asyncio.to_thread(bindings.set_ready_state, "Ready")
        except Exception as failure:  # noqa: BLE001 - whatever it is, tokens are what counts
            return f"{name} failed: {type(failure).__name__}"
        return None
    return "HTCondor's Python bindings are not installed"
