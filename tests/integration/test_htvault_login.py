"""A login through the page, at the development issuer and over real OpenBao, by two replicas."""

from __future__ import annotations

import asyncio
import html
import re
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import aiohttp
import pytest

from credbroker.domain.grants import GrantState
from credbroker.host.http import Connector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.integration.broker_world import BrokerWorld, Replica

pytestmark = pytest.mark.slow

PUBLIC = "https://127.0.0.1:0"
NONCE = "n" * 43
ALICE = [("name", "alice"), ("password", "alice's word")]
Form = list[tuple[str, str]]
_INPUT = re.compile(r'<input[^>]*name="([^"]+)"[^>]*?value="([^"]*)"')


class Browser:
    """One person's browser: its cookies, and the broker behind the public address."""

    def __init__(self, world: BrokerWorld, broker: Replica) -> None:
        """Reach `broker` wherever an address names the public one."""
        trust = ssl.create_default_context(cafile=str(world.authority.ca_file))
        self._http = aiohttp.ClientSession(
            connector=Connector(trust), cookie_jar=aiohttp.CookieJar(unsafe=True)
        )
        self.broker = broker
        self.said = ""

    async def go(self, address: str, form: Form | None = None) -> tuple[str, str]:
        """Open an address, or send a form there; return where it led in the end, and the text."""
        method, body = ("GET", None) if form is None else ("POST", aiohttp.FormData(form))
        for _ in range(10):
            address = address.replace(PUBLIC, self.broker.url)
            async with self._http.request(
                method, address, data=body, allow_redirects=False
            ) as answer:
                text = await answer.text()
                self.said += text + str(answer.headers)
                if answer.status != 303:
                    return address, text
                address = urljoin(address, answer.headers["Location"])
                method, body = "GET", None
        raise AssertionError("it is sent round in circles")

    async def confirm(self, begun: Mapping[str, str]) -> tuple[str, str]:
        """Enter the code of a login; return the page of the issuer that this leads to."""
        address, text = await self.go(begun["auth_url"])
        return await self.go(address, [*hidden(text), ("code", begun["user_code"])])

    async def sign_in(self, address: str, text: str) -> tuple[str, str]:
        """Sign in at the issuer and agree to everything; return the page that this leads to."""
        address, text = await self.go(address, [*hidden(text), *ALICE])
        return await self.go(address, [*hidden(text), ("decision", "allow")])

    async def visit(self) -> str:
        """Log in to the page of grants; return that page."""
        _, text = await self.go(f"{PUBLIC}/mine")
        address, text = await self.go(f"{PUBLIC}/mine/visit", form_of(text, "issuer"))
        _, text = await self.go(address, [*hidden(text), ("decision", "allow")])
        return text

    async def close(self) -> None:
        """Forget everything."""
        await self._http.close()


def hidden(text: str) -> Form:
    """Return a form's values as a page gives them."""
    return [(name, html.unescape(value)) for name, value in _INPUT.findall(text)]


def form_of(text: str, button: str) -> Form:
    """Return what the first button of this name sends, on a page whose forms are alike."""
    found = re.search(rf'<button name="{button}" value="([^"]+)"', text)
    assert found is not None, text
    return [hidden(text)[0], (button, html.unescape(found[1]))]


class Client:
    """What htgettoken does, without the waiting."""

    def __init__(self, world: BrokerWorld, broker: Replica) -> None:
        """Talk to `broker`."""
        self.broker = broker
        self._issuer = world.issuer_name

    async def begin(self) -> dict[str, str]:
        """Begin a login."""
        status, answer = await self._post("auth_url", {"role": "default"})
        assert status == 200, answer
        return dict(answer["data"])

    async def poll(self, begun: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Poll once."""
        return await self._post("poll", {"state": begun["state"]})

    async def store(self, auth: Mapping[str, Any], value: str = "", credkey: str = "alice") -> int:
        """Store the handle; return the status."""
        body = {
            "server": self._issuer,
            "refresh_token": value or auth["metadata"]["oauth2_refresh_token"],
        }
        path = f"/v1/secret/oauth/creds/{self._issuer}/{credkey}:default"
        shown = {"X-Vault-Token": auth["client_token"]}
        return (await self.broker.ask("POST", path, body=body, headers=shown)).status

    async def read(self, auth: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Read an access token."""
        path = f"/v1/secret/oauth/creds/{self._issuer}/alice:default"
        shown = {"X-Vault-Token": auth["client_token"]}
        answer = await self.broker.ask("GET", path, headers=shown)
        return answer.status, answer.json

    async def shorten(self, auth: Mapping[str, Any]) -> dict[str, Any]:
        """Exchange a lease for one that lasts an hour."""
        shown = {"X-Vault-Token": auth["client_token"]}
        body = {"ttl": "3600s", "renewable": "false"}
        answer = await self.broker.ask("POST", "/v1/auth/token/create", body=body, headers=shown)
        return dict(answer.json["auth"])

    async def until_refused(self, auth: Mapping[str, Any]) -> None:
        """Return once a lease is refused, as it is within seconds of its end elsewhere."""
        async with asyncio.timeout(15.0):
            while (await self.read(auth))[0] == 200:
                pass

    async def _post(self, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        where = f"/v1/auth/oidc-{self._issuer}/oidc/{path}"
        answer = await self.broker.ask("POST", where, body={**body, "client_nonce": NONCE})
        return answer.status, answer.json


@pytest.fixture
async def brokers(broker_world: BrokerWorld) -> tuple[Replica, Replica]:
    """Two replicas, whose address is registered at the issuer."""
    back = f"{PUBLIC}/v1/auth/oidc-{broker_world.issuer_name}/oidc/callback"
    clients = broker_world.issuer._state.clients
    clients["credbroker"] = replace(clients["credbroker"], redirect_uris=(back,))
    return await broker_world.replica("one"), await broker_world.replica("two")


@pytest.fixture
async def browser(
    broker_world: BrokerWorld, brokers: tuple[Replica, Replica]
) -> AsyncIterator[Browser]:
    """A browser that reaches the second replica."""
    one = Browser(broker_world, brokers[1])
    yield one
    await one.close()


async def test_a_login_goes_over_two_replicas_and_no_refresh_token_leaves_them(
    broker_world: BrokerWorld, brokers: tuple[Replica, Replica], browser: Browser
) -> None:
    """The page and the way back are on one, the client on the other; a second poll finds nothing."""
    client = Client(broker_world, brokers[0])
    begun = await client.begin()
    _, welcome = await browser.sign_in(*await browser.confirm(begun))
    assert "You are logged in" in welcome
    status, answer = await client.poll(begun)
    assert status == 200, answer
    auth = answer["auth"]
    assert (await client.poll(begun))[0] == 400
    assert await client.store(auth) == 204
    assert await client.store(auth) == 204
    status, answer = await client.read(auth)
    assert status == 200, answer
    assert broker_world.grant_of("alice").login_id == auth["metadata"]["oauth2_refresh_token"][6:]
    said = browser.said + "".join(str(one.body) for broker in brokers for one in broker.answers)
    issued = broker_world.issuer.refresh_tokens_issued
    assert issued
    assert not [value for value in issued if value in said]


async def test_who_hands_the_issuers_link_on_gets_nothing(
    broker_world: BrokerWorld, brokers: tuple[Replica, Replica], browser: Browser
) -> None:
    """The starter confirms himself; the victim approves it in another browser, and is warned."""
    client, phisher = Client(broker_world, brokers[0]), Browser(broker_world, brokers[0])
    begun = await client.begin()
    _, text = await phisher.go(begun["auth_url"])
    form = [*hidden(text), ("code", begun["user_code"])]
    async with phisher._http.post(
        begun["auth_url"].replace(PUBLIC, brokers[0].url), data=form, allow_redirects=False
    ) as answer:
        link = answer.headers["Location"]
    _, warned = await browser.sign_in(*await browser.go(link))
    assert "not the browser" in warned
    assert not broker_world.issuer.refresh_tokens_issued
    broker_world.clock.leap(601.0)
    assert (await client.poll(begun))[0] == 400
    await phisher.close()


async def test_what_is_no_handle_is_refused(
    broker_world: BrokerWorld, brokers: tuple[Replica, Replica], browser: Browser
) -> None:
    """A refresh token from elsewhere is not stored, and another person's place is not touched."""
    client = Client(broker_world, brokers[0])
    begun = await client.begin()
    await browser.sign_in(*await browser.confirm(begun))
    auth = (await client.poll(begun))[1]["auth"]
    assert await client.store(auth, "eyJhbGciOiJub25lIn0.eyJqdGkiOiJ4In0.") == 400
    assert await client.store(auth, credkey="bob") in {400, 403}


async def test_a_person_ends_on_a_page_what_another_replica_serves(
    broker_world: BrokerWorld, brokers: tuple[Replica, Replica], browser: Browser
) -> None:
    """A lease by its button, then the whole grant; the login for the page leaves no grant behind."""
    client = Client(broker_world, brokers[0])
    begun = await client.begin()
    await browser.sign_in(*await browser.confirm(begun))
    auth = (await client.poll(begun))[1]["auth"]
    assert await client.store(auth) == 204
    short = await client.shorten(auth)
    assert (await client.read(short))[0] == 200
    page = await browser.visit()
    assert page.count('name="lease"') == 2
    _, page = await browser.go(f"{PUBLIC}/mine/lease", form_of(page, "lease"))
    assert page.count('name="lease"') == 1
    await client.until_refused(short)
    assert (await client.read(auth))[0] == 200
    _, asked = await browser.go(f"{PUBLIC}/mine/grant?role=default&credkey=alice")
    _, done = await browser.go(f"{PUBLIC}/mine/grant", hidden(asked))
    assert "You are logged out" in done
    grant = broker_world.grant_of("alice")
    assert (grant.state, grant.refresh_token) == (GrantState.ENDED, None)
    await client.until_refused(auth)
    issued = broker_world.issuer.refresh_tokens_issued
    assert not [value for value in issued if value in browser.said]
