"""`python -m bench.authlib_peer PORT`: Authlib's authorization server on aiohttp, as a peer.

It knows client_credentials with ES256 tokens (RFC 9068); nothing is stored, nothing written down.
What it is told is what it grants.
"""

# mypy: disable-error-code="no-untyped-call"
# Authlib's classes have no types.

from __future__ import annotations

import hmac
import json
import os
from typing import TYPE_CHECKING, Any

from aiohttp import web
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, JsonRequest, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc.jwk import ECKey

from bench.peer_app import serve_peer

if TYPE_CHECKING:
    from collections.abc import Mapping

ISSUER = "http://127.0.0.1/authlib/"
SECONDS = 3600


class Service(ClientMixin):
    """The one client."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """Know its id, secret and scope."""
        self._given = given

    def get_client_id(self) -> str:
        """Return its id."""
        return self._given["client_id"]

    def get_allowed_scope(self, scope: str) -> str:
        """Return what of `scope` it may have."""
        allowed = set(self._given["scope"].split())
        return " ".join(one for one in scope.split() if one in allowed)

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare in equal time."""
        return hmac.compare_digest(client_secret, self._given["secret"])

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Take HTTP Basic alone."""
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type: str) -> bool:
        """Take client_credentials alone."""
        return grant_type == "client_credentials"


class Tokens(JWTBearerTokenGenerator):
    """Writes tokens of one key."""

    def __init__(self, audience: str) -> None:
        """Make the key."""
        super().__init__(ISSUER, "ES256", None, lambda _client, _grant: SECONDS)
        self._key = ECKey.generate_key("P-256", {"kid": "key-1"}, auto_kid=False)
        self._audience = audience

    def get_jwks(self) -> ECKey:
        """Return the key, which is read already."""
        return self._key

    def get_audiences(self, client: Service, user: object, scope: str) -> str:
        """Return the one audience."""
        return self._audience

    def get_extra_claims(
        self, client: Service, grant_type: str, user: object, scope: str
    ) -> dict[str, str]:
        """Return what the WLCG profile adds."""
        return {"wlcg.ver": "1.0"}


class Asked(OAuth2Request):
    """A request, as Authlib reads one."""

    def __init__(self, request: web.Request, form: dict[str, str]) -> None:
        """Take the form that was posted."""
        super().__init__(request.method, str(request.url), headers=request.headers)
        self.payload: Any = BasicOAuth2Payload(form)
        self._form = form

    @property
    def form(self) -> dict[str, str]:
        """The parameters."""
        return self._form


class Server(AuthorizationServer):
    """The server, as Authlib asks for it to be completed."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """Serve one client."""
        super().__init__()
        self._service = Service(given)
        self.register_token_generator("default", Tokens(given["audience"]))
        self.register_grant(ClientCredentialsGrant)

    def query_client(self, client_id: str) -> Service | None:
        """Return the client."""
        return self._service if client_id == self._service.get_client_id() else None

    def save_token(self, token: object, request: object) -> None:
        """Keep nothing: an access token says all itself."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        """Return the request, which was made below."""
        return request

    def create_json_request(self, request: JsonRequest) -> JsonRequest:
        """Return the request; nobody sends one."""
        return request

    def handle_response(self, status: int, body: object, headers: Any) -> web.Response:
        """Return the answer."""
        return web.Response(status=status, body=json.dumps(body).encode(), headers=headers)

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Answer the token endpoint."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        answer: web.Response = self.create_token_response(Asked(request, form))
        return answer


def _app(given: Mapping[str, str]) -> web.Application:
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    app = web.Application()
    app.router.add_post("/token", Server(given).token)
    return app


if __name__ == "__main__":
    serve_peer(_app)
