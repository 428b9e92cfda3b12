"""The way to a broker that commands and programs take, unless they are given another one.

Nothing of it is loaded before it is taken: TLS takes long, and many a command asks nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from credbroker.client.blocking import BlockingClock
    from credbroker.client.broker import Send

OpenDoor = Callable[[str, "BlockingClock", Optional[str], Optional[str]], "Send"]
"""Makes the way to a broker: from its address, a clock, and authorities, as a file or as PEM text."""


def open_door(
    address: str, clock: BlockingClock, ca_file: Optional[str], ca_pem: Optional[str]
) -> Send:
    """Return what sends requests to the broker at `address`; raise `Malformed`."""
    from credbroker.client.address import parse_address
    from credbroker.client.blocking import Door

    return Door(parse_address(address), clock, ca_file, ca_pem=ca_pem).send
