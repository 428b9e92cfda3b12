"""A client of the issuer that remembers nothing: what it is told to send goes out, whatever comes of it."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from joserfc import jwt
from joserfc.jwk import KeySet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.interop.provider_server import ProviderServer

Answer = tuple[int, dict[str, Any]]

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class BareClient:
    """Sends what it is told to the issuer's endpoints and returns what comes back."""

    def __init__(self, server: ProviderServer, browser: aiohttp.ClientSession) -> None:
        """Ask `server`, with the right client secret."""
        self._server, self._browser = server, browser
        self.secret = server.client_secret_file.read_text()

    async def get(self, url: str) -> dict[str, Any]:
        """Return a JSON document."""
        async with self._browser.get(url) as response:
            assert response.status == 200
            return dict(await response.json())

    async def discovery(self) -> dict[str, Any]:
        """Return the issuer's own description (OpenID Connect Discovery section 4)."""
        return await self.get(f"{self._server.url}/.well-known/openid-configuration")

    async def post(self, endpoint: str, **form: str) -> Answer:
        """Post a form to the endpoint that discovery names so."""
        url = (await self.discovery())[endpoint]
        auth = aiohttp.encode_basic_auth(self._server.client_id, self.secret)
        async with self._browser.post(url, data=form, headers={"Authorization": auth}) as response:
            body = await response.json() if response.content_type == "application/json" else {}
            return response.status, body

    async def start(self, **form: str) -> dict[str, Any]:
        """Begin a device login (RFC 8628 section 3.1)."""
        status, device = await self.post("device_authorization_endpoint", **form)
        assert status == 200
        return device

    async def poll(self, device: dict[str, Any]) -> Answer:
        """Ask whether the person has confirmed (RFC 8628 section 3.4)."""
        code = device["device_code"]
        return await self.post("token_endpoint", grant_type=DEVICE_GRANT, device_code=code)

    async def refresh(self, refresh_token: str, **form: str) -> Answer:
        """Use a refresh token (RFC 6749 section 6)."""
        form |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.post("token_endpoint", **form)

    async def introspect(self, refresh_token: str) -> dict[str, Any]:
        """Return what the issuer says of a refresh token (RFC 7662)."""
        status, body = await self.post("introspection_endpoint", token=refresh_token)
        assert status == 200
        return body

    async def is_active(self, refresh_token: str) -> bool:
        """Return whether a refresh token would still work."""
        return bool((await self.introspect(refresh_token))["active"])

    async def claims(self, access_token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Check the signature; return header and claims."""
        document: Any = await self.get((await self.discovery())["jwks_uri"])
        keys = KeySet.import_key_set(document)
        checked = jwt.decode(access_token, keys, algorithms=["RS256"])
        return checked.header, checked.claims


@asynccontextmanager
async def bare_client(server: ProviderServer) -> AsyncIterator[BareClient]:
    """Be a client of `server` for a while."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as browser:
        yield BareClient(server, browser)
