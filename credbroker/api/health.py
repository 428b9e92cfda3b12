"""Is this replica alive, and would another one do better?

`/livez` says that the loop turns. `/readyz` is red only for what another replica would do better: it
is draining, or OpenBao/Vault refuses this one's login. What all replicas share, such as an issuer
that is down, never makes it red.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web


class Health:
    """Answers the probes."""

    def __init__(self, troubles: Callable[[], list[str]]) -> None:
        """Ask `troubles` for the sentences that make this replica unready."""
        self._troubles = troubles

    def routes(self) -> list[web.RouteDef]:
        """Return the probes' routes."""
        return [web.get("/livez", self.live), web.get("/readyz", self.ready)]

    async def live(self, _request: web.Request) -> web.Response:
        """Answer that the loop turns."""
        return web.json_response({"live": True})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer whether callers should be sent here."""
        troubles = self._troubles()
        return web.json_response(
            {"ready": not troubles, "troubles": troubles}, status=503 if troubles else 200
        )
