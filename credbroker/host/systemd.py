"""Tells systemd how the service is doing (sd_notify(3)); silent where systemd does not ask."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send `state`, such as `READY=1` or `STOPPING=1`, to the socket that systemd named."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    # A leading @ stands for the NUL of an abstract socket's name.
    address = "\0" + place[1:] if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.sendto(state.encode(), address)
        except OSError:
            return  # systemd went away; that is its business
