"""Puts a fresh access token on each request of the library httpx, with an event loop or without.

- A request that may not carry it is not sent; after a redirect to another host it is gone.
- Where a service says that the token is not good any more, the request is repeated once with another
  one, if there is another and the body is there to be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, AsyncGenerator, Generator, Sequence, Union

import httpx

from credbroker.client.bearing import Hosts, refused
from credbroker.client.fresh import holding, wish_of

if TYPE_CHECKING:
    from typing import Unpack

    from credbroker.client.fresh import Wanted
    from credbroker.domain.tokens import AccessToken


class BearerAuth(httpx.Auth):
    """What `auth=` of a request, a `Client` or an `AsyncClient` takes."""

    def __init__(
        self, *, hosts: Union[str, Sequence[str], None] = None, **wanted: Unpack[Wanted]
    ) -> None:
        """Send tokens to `hosts` alone, or else to those that are named as audiences.

        Args:
            hosts: As in "dav.example.org" or "dav.example.org:1094".
            wanted: What else `client.fresh_token` takes.

        Raises:
            Malformed: It is not said which hosts may see the token.
        """
        self._wish = wish_of(**wanted)
        self._hosts = Hosts(hosts, self._wish.audiences or ())

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send it with a token, and perhaps once more. Raises `NotAllowed`, and as `fresh_token`."""
        self._hosts.check(str(request.url))
        token = holding().fresh(self._wish)
        answer = yield _carrying(request, token)
        if _is_repeatable(request, answer):
            other = holding().fresh(self._wish, token.value)
            if other.value != token.value:
                yield _carrying(request, other)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same without blocking the event loop."""
        self._hosts.check(str(request.url))
        token = await holding().fresh_async(self._wish)
        answer = yield _carrying(request, token)
        if _is_repeatable(request, answer):
            other = await holding().fresh_async(self._wish, token.value)
            if other.value != token.value:
                yield _carrying(request, other)


def _carrying(request: httpx.Request, token: AccessToken) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token.value.reveal()}"
    return request


def _is_repeatable(request: httpx.Request, answer: httpx.Response) -> bool:
    """True if this very request, not one that a redirect led to, was refused for its token."""
    return (
        answer.request is request
        and refused(answer.status_code, answer.headers.get("WWW-Authenticate"))
        and isinstance(request.stream, httpx.ByteStream)
    )
