"""Runs in the sessions' unit in its agent's place: can a token reach somebody who logs in later?

It writes into each folder that appears below /run/user, as the agent does, and says in its own folder
what else it may do.
"""

from __future__ import annotations

import os
from pathlib import Path

from credbroker.delivery import token_file
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.systemd import notify

FOLDERS = Path("/run/user")
HOME = Path("/home")
TOLD = Path("/var/lib/credbroker-sessions/may")
SOCKET_FOLDER = Path("/run/credbroker")


def main() -> None:
    """Write for whoever comes, until killed."""
    clock, entropy = SystemClock(), SystemEntropy()
    may = {"home": os.access(HOME, os.R_OK), "etc": os.access("/etc", os.W_OK)}
    may["socket"] = os.access(SOCKET_FOLDER, os.W_OK)
    TOLD.write_text(" ".join(name for name, it_may in may.items() if it_may))
    os.setgroups([])
    notify("READY=1")
    while True:
        for folder in FOLDERS.iterdir():
            uid = int(folder.name)
            place, token = folder / f"bt_u{uid}", Secret("access token", "a.b.c")
            if folder.stat().st_uid == uid and not token_file.holds(place, token):
                token_file.write(place, token, entropy, owner=(uid, uid), as_owner=True)
        notify("WATCHDOG=1")
        clock.block(0.1)


if __name__ == "__main__":
    main()
