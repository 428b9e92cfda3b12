"""`/api/v1/tokens:inspect`: whether a token is its issuer's, for who cannot look at keys.

Who asks shows a lease. The keys are those of an issuer that the settings name, or of a community that is
served here: no token decides whom the broker asks for keys. The answer repeats nothing of the token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.api.callers import identify
from credbroker.api.operations import Operation, answer_with
from credbroker.api.strangers import Strangers
from credbroker.broker.leasing import Leasing
from credbroker.domain.errors import IssuerMisbehaved, Malformed, NotFound, TokenRefused
from credbroker.domain.secret import Secret
from credbroker.wire import native
from credbroker.wire.jwt import peek

Verify = Callable[[Secret], Awaitable[object]]
"""Returns if a token is its issuer's; raises `IssuerMisbehaved` or `TokenRefused` if it is not."""


class InspectApi:
    """Takes a token, has it verified, says what came of it."""

    def __init__(
        self, by_issuer: Mapping[str, Verify], leasing: Leasing, strangers: Strangers
    ) -> None:
        """Verify by `by_issuer`, whose keys are the issuers' own strings (`iss`)."""
        self._by_issuer = by_issuer
        self._leasing = leasing
        self._strangers = strangers

    def operations(self) -> list[Operation]:
        """Return all that is offered here."""
        return [
            Operation("POST", native.TOKENS_INSPECT, "inspectToken",
                      "Find out whether an access token is its issuer's.",
                      self.inspect, takes=native.AskInspect, gives=native.Inspected),
        ]  # fmt: skip

    async def inspect(self, request: web.Request) -> web.Response:
        """Tell whether the token is its issuer's. Raises what keeps that from being known."""
        await identify(request, self._leasing, self._strangers)
        asked = native.AskInspect.read(await body_of(request))
        return answer_with(await self._inspected(asked.access_token))

    async def _inspected(self, value: Secret) -> native.Inspected:
        try:
            issuer = peek(value)[1].text("iss")
        except Malformed as error:
            return native.Inspected(verified=False, why=error.sentence)
        verify = self._by_issuer.get(issuer)
        if verify is None:
            raise NotFound(
                "This broker has no keys of the token's issuer.",
                "Ask a broker whose settings name that issuer.",
            )
        try:
            await verify(value)
        except (IssuerMisbehaved, TokenRefused) as error:
            return native.Inspected(verified=False, why=error.sentence)
        return native.Inspected(verified=True, why="The signature is the issuer's.")
