"""`credbroker admin host-join`: makes the token by which one host joins, to be taken there.

It is good once, for ten minutes and this name. Where the host had a key already, that one counts
until the new one is there.
"""

from __future__ import annotations

from credbroker.admin.office import Office
from credbroker.broker.deliveries.joining import invite
from credbroker.wire.hosts import write_join_token


async def host_join(office: Office, name: str) -> None:
    """Print a join token. Raises `Malformed`, `ClockOff` and `StoreUnavailable` kinds."""
    token = await invite(office.hosts, name, office.means)
    office.desk.answer(write_join_token(token))
    office.desk.say(
        f"The host {name.lower()} may join with it once, within 10 minutes. Keep it secret until then."
    )
