"""OpenBao out of reach for a while, in the way that is hardest on who asks it."""

from __future__ import annotations

from contextlib import contextmanager
from os import kill
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credbroker.demo.openbao import OpenBaoServer


@contextmanager
def hanging(openbao: OpenBaoServer) -> Iterator[None]:
    """Have OpenBao take connections and answer nothing, until the end of the block."""
    kill(openbao.pid, SIGSTOP)
    try:
        yield
    finally:
        kill(openbao.pid, SIGCONT)
