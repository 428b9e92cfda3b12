"""Puts a fresh access token on each request of the library requests.

- A request that may not carry it is not sent; after a redirect to another host it is gone.
- Where a service says that the token is not good any more, the request is repeated once with another
  one, if there is another and the body is there to be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence, Union

from requests.auth import AuthBase

from credbroker.client.bearing import Hosts, refused
from credbroker.client.fresh import holding, wish_of

if TYPE_CHECKING:
    from typing import Unpack

    from requests import PreparedRequest, Response

    from credbroker.client.fresh import Wanted
    from credbroker.domain.tokens import AccessToken


class BearerAuth(AuthBase):
    """What `auth=` of a request or a session takes."""

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

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put the token on. Raises `NotAllowed` and what `fresh_token` raises."""
        self._hosts.check(request.url or "")
        token = holding().fresh(self._wish)
        _carry(request, token)

        def once_more(answer: Response, **sending: Any) -> Response:
            return self._once_more(answer, token, sending)

        request.register_hook("response", once_more)  # type: ignore[no-untyped-call] # the stub has none
        return request

    def _once_more(self, answer: Response, token: AccessToken, sending: dict[str, Any]) -> Response:
        if not self._is_repeatable(answer, token):
            return answer
        other = holding().fresh(self._wish, token.value)
        if other.value == token.value:
            return answer
        answer.content  # noqa: B018 - read to its end, its connection can be used again
        answer.close()
        request = answer.request.copy()
        _carry(request, other)
        repeated: Response = answer.connection.send(request, **sending)
        repeated.history.append(answer)
        repeated.request = request
        return repeated

    def _is_repeatable(self, answer: Response, token: AccessToken) -> bool:
        """True if this very token was refused by a host that may see it, and the body is at hand."""
        sent = answer.request
        return (
            refused(answer.status_code, answer.headers.get("WWW-Authenticate"))
            and self._hosts.include(sent.url or "")
            and sent.headers.get("Authorization") == _header(token)
            and (sent.body is None or isinstance(sent.body, (bytes, str)))
        )


def _carry(request: PreparedRequest, token: AccessToken) -> None:
    request.headers["Authorization"] = _header(token)


def _header(token: AccessToken) -> str:
    return f"Bearer {token.value.reveal()}"
