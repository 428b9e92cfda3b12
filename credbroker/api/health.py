"""Is this replica alive, would another one do better, and how are those whom all of them need?

`/livez` says that the loop turns. `/readyz` is red only for what another replica would do better: it
is draining, OpenBao/Vault refuses this one's login, or this host's clock is off. What all replicas
share, such as an issuer that is down, never makes it red: `/health` tells of that, and is answered
with 200 all the same. None of them asks who is asking; none holds anything about people.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from credbroker.api.outlook import IssuerOutlook, Outlook
from credbroker.wire.fields import write_optional_instant


class Health:
    """Answers the probes."""

    def __init__(self, troubles: Callable[[], list[str]], outlook: Outlook) -> None:
        """Ask `troubles` for the sentences that make this replica unready."""
        self._troubles = troubles
        self._outlook = outlook

    def routes(self) -> list[web.RouteDef]:
        """Return the probes' routes."""
        return [
            web.get("/livez", self.live),
            web.get("/readyz", self.ready),
            web.get("/health", self.shared),
        ]

    async def live(self, _request: web.Request) -> web.Response:
        """Answer that the loop turns."""
        return web.json_response({"live": True})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer whether callers should be sent here."""
        troubles = self._troubles()
        return web.json_response(
            {"ready": not troubles, "troubles": troubles}, status=503 if troubles else 200
        )

    async def shared(self, _request: web.Request) -> web.Response:
        """Answer how the issuers and OpenBao/Vault are."""
        issuers, store = self._outlook.issuers(), self._outlook.store_troubles()
        troubles = [*store, *(sentence for one in issuers for sentence in one.troubles)]
        return web.json_response(
            {
                "degraded": bool(troubles),
                "troubles": troubles,
                "vault": {
                    "answers": not self._outlook.store_is_silent,
                    "halted": self._outlook.store_is_halted,
                },
                "issuers": {one.name: _as_fields(one) for one in issuers},
            }
        )


def _as_fields(one: IssuerOutlook) -> dict[str, object]:
    return {
        "open": one.is_open,
        "client_accepted": not one.gate.client_paused,
        "braked": one.gate.braked,
        "trouble_since": write_optional_instant(one.gate.since),
        "tokens_last_until": write_optional_instant(one.horizon),
    }
