"""The pages that confirm a login, and the requests of the client that waits, over real HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from credbroker.api.answering import answering_problems
from credbroker.api.browsers import PAGE_COOKIE, WAY_BACK, Forms
from credbroker.api.grants_pages import GrantsPages
from credbroker.api.htvault_login import HtvaultLogin
from credbroker.api.login_pages import LoginPages
from credbroker.api.outlook import Outlook
from credbroker.api.pages.words import rights_in_words
from credbroker.api.strangers import Strangers
from credbroker.domain.errors import StoreUnavailable
from credbroker.domain.limits import Allowance
from credbroker.domain.scopes import ScopeSet
from tests.unit.broker.confirming_world import ADA, NONCE, PUBLIC, SEAL, ConfirmingWorld
from tests.unit.broker.htvault_world import deeds_of
from tests.unit.broker.notices_world import choosing_of
from tests.unit.broker.world import ISSUER

BELOW = f"/v1/auth/oidc-{ISSUER}/oidc"


@dataclass
class Site:
    """A broker's port, and everything that it ever answered."""

    around: ConfirmingWorld
    http: TestClient[web.Request, web.Application]
    said: str = ""

    async def post(self, path: str, **body: object) -> tuple[int, Any]:
        """Send JSON as htgettoken does, without a content type."""
        answer = await self.http.post(path, json=body, headers={"Content-Type": ""})
        return answer.status, await self._read(answer)

    async def begin(self) -> Any:
        """Begin a login; return the `data`."""
        status, answer = await self.post(
            f"{BELOW}/auth_url", role="default", client_nonce=NONCE,
            redirect_uri="https://elsewhere.test/",
        )  # fmt: skip
        assert status == 200, answer
        return answer["data"]

    async def poll(self, state: str, nonce: str = NONCE) -> tuple[int, Any]:
        """Poll once; a pending answer comes without waiting."""
        return await self.post(f"{BELOW}/poll", state=state, client_nonce=nonce)

    async def browse(
        self, method: str, path: str, cookies: str = "", form: dict[str, str] | None = None
    ) -> tuple[ClientResponse, str]:
        """Do as a browser does, cookies aside."""
        answer = await self.http.request(
            method, path.removeprefix(PUBLIC), data=form,
            headers={"Cookie": cookies} if cookies else {}, allow_redirects=False,
        )  # fmt: skip
        text = await answer.text()
        self.said += text + str(answer.headers)
        return answer, text

    async def confirm(self, begun: Any, code: str = "") -> tuple[ClientResponse, str]:
        """Open the page and send its form."""
        answer, text = await self.browse("GET", begun["auth_url"])
        cookie = f"{PAGE_COOKIE}={answer.cookies[PAGE_COOKIE].value}"
        form = {"form": form_value(text), "code": code or begun["user_code"]}
        return await self.browse("POST", begun["auth_url"], cookie, form)

    async def _read(self, answer: ClientResponse) -> Any:
        self.said += await answer.text()
        return await answer.json() if answer.status != 204 else None


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A port that serves the pages and the client's requests."""
    around = ConfirmingWorld()
    side, world = around.side(), around.world
    strangers = Strangers(Allowance(per_second=1.0, burst=40), world.clock)

    async def name(address: str) -> str:
        return "ui.site.test" if address == "127.0.0.1" else ""

    app = web.Application(middlewares=[answering_problems(world.entropy, world.audit)])
    app.add_routes(HtvaultLogin(side.confirming, strangers, world.clock, name).routes())
    forms, visits = Forms(SEAL, world.entropy), deeds_of(world, side.replica)
    outlook = Outlook(side.replica.engine, world.clock, 0.0)
    mine = GrantsPages(
        visits.visiting,
        visits.my_grants,
        strangers,
        forms,
        outlook,
        choosing=choosing_of(world, side.replica),
    )
    pages = LoginPages(side.confirming, side.returning, strangers, forms, mine)
    app.add_routes(pages.routes())
    async with TestClient(TestServer(app)) as http:
        yield Site(around, http)


def form_value(text: str) -> str:
    """Return the hidden value of a page's form."""
    found = re.search(r'name="form" value="([0-9a-f]+)"', text)
    assert found is not None, text
    return found.group(1)


async def test_a_person_confirms_logs_in_and_the_client_gets_a_lease(site: Site) -> None:
    """What the client gets has the handle, and no answer ever held the refresh token."""
    begun = await site.begin()
    assert begun["poll_interval"] == "3"
    assert set(begun) == {"auth_url", "user_code", "state", "poll_interval"}
    sent_on, _ = await site.confirm(begun)
    assert sent_on.status == 303
    cookie = next(one for name, one in sent_on.cookies.items() if name.startswith(WAY_BACK))
    # So no other host of the site can have set it: a phisher has one for his own login.
    assert cookie.key.startswith("__Host-")
    assert (cookie["path"], cookie["domain"], cookie["samesite"]) == ("/", "", "Lax")
    assert cookie["secure"]
    assert cookie["httponly"]
    code = site.around.world.issuer.log_in(sent_on.headers["Location"], ADA)
    login = cookie.key.removeprefix(WAY_BACK)
    shown = f"{cookie.key}={cookie.value}"
    way_back = f"callback?state={login}&code={code}"
    for elsewhere in (f"/v1/auth/oidc-other/oidc/{way_back}", f"{BELOW}/{way_back}&iss=other"):
        refused, _ = await site.browse("GET", elsewhere, shown)
        assert refused.status == 403
    done, text = await site.browse("GET", f"{BELOW}/{way_back}", shown)
    assert (done.status, "Welcome, ada." in text) == (200, True)
    status, answer = await site.poll(begun["state"])
    auth = answer["auth"]
    assert (status, auth["metadata"]["credkey"], auth["policies"]) == (
        200,
        "ada",
        ["sshregister-cms"],
    )
    assert auth["lease_duration"] == 28 * 86400
    assert auth["client_token"].startswith("cb_")
    assert auth["metadata"]["oauth2_refresh_token"] == f"login:{login}"
    pending = site.around.records.newest(login).pending
    assert pending is not None
    assert pending.refresh_token is not None
    assert pending.refresh_token.reveal() not in site.said
    assert cookie.value not in str(site.around.records.history)
    status, answer = await site.poll(begun["state"])
    assert status == 400
    assert "Expired or missing OAuth state." in answer["errors"][0]


async def test_the_page_says_who_asks_and_for_what(site: Site) -> None:
    """It may be neither framed nor kept, runs no script and names itself to nobody."""
    answer, text = await site.browse("GET", (await site.begin())["auth_url"])
    for words in ("ui.site.test", "127.0.0.1", "2026-06-01 12:00:00", "read files in all places"):
        assert words in text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<script" not in text
    assert (await site.begin())["user_code"] not in text
    style, _ = await site.browse("GET", "/login/style.css")
    assert (style.status, style.content_type) == (200, "text/css")


async def test_a_form_that_another_site_sent_is_not_taken(site: Site) -> None:
    """A phisher knows the code of his own login; a victim's browser cannot be made to send it."""
    begun = await site.begin()
    answer, text = await site.browse("GET", begun["auth_url"])
    own, value = answer.cookies[PAGE_COOKIE].value, form_value(text)
    other = (await site.begin())["auth_url"]
    for path, cookie, form in (
        (begun["auth_url"], "", value),
        (begun["auth_url"], "another", value),
        (begun["auth_url"], own, ""),
        (other, own, value),
    ):
        shown = f"{PAGE_COOKIE}={cookie}" if cookie else ""
        fields = {"form": form, "code": begun["user_code"]}
        refused, _ = await site.browse("POST", path, shown, fields)
        assert refused.status == 403
    assert not site.around.records.history


async def test_a_wrong_code_may_be_mended_twice(site: Site) -> None:
    """Then the login is over, and the client is told why."""
    begun = await site.begin()
    for status, words in ((400, "not the code"), (400, "not the code"), (403, "three times")):
        answer, text = await site.confirm(begun, "<b>XX")
        assert (answer.status, words in text, "<b>" in text) == (status, True, False)
    status, answer = await site.poll(begun["state"])
    assert (status, "three times" in answer["errors"][0]) == (400, True)


@pytest.mark.parametrize("query", ["", "state=x&code=y", "state=" + "A" * 22, "error=no&state=%00"])
async def test_an_answer_that_nobody_waits_for_is_a_page_that_says_so(
    site: Site, query: str
) -> None:
    """It is no success, and nothing of it is repeated."""
    answer, text = await site.browse("GET", f"{BELOW}/callback?{query}")
    assert answer.status in {400, 403}
    assert "This did not work" in text
    assert not site.around.world.issuer.redeemed


async def test_an_address_that_was_not_sealed_here_is_a_page_that_says_so(site: Site) -> None:
    """Whoever made it up learns nothing."""
    for method in ("GET", "POST"):
        answer, _ = await site.browse(method, "/login/" + "A" * 200)
        assert answer.status in {400, 403}


async def test_the_client_is_answered_in_words_that_it_knows(site: Site) -> None:
    """Status 400 with a sentence; nothing says "permission denied"."""
    state = (await site.begin())["state"]
    for path, body, words in (
        ("auth_url", {"role": "default"}, "missing client_nonce"),
        ("auth_url", {"role": "x", "client_nonce": NONCE}, 'role "x" could not be found'),
        ("poll", {"state": state, "client_nonce": "other"}, "invalid client_nonce"),
        ("poll", {"client_nonce": NONCE}, "Expired or missing OAuth state."),
    ):
        status, answer = await site.post(f"{BELOW}/{path}", **body)
        assert (status, words in answer["errors"][0]) == (400, True), answer
    assert "permission denied" not in site.said


async def test_while_the_store_is_silent_a_poll_goes_on(site: Site) -> None:
    """The person may be confirming this very moment."""
    begun = await site.begin()
    site.around.records.fail_next(StoreUnavailable("OpenBao/Vault does not answer."), on="get")
    assert await site.poll(begun["state"]) == (400, {"errors": ["authorization_pending"]})


async def test_an_address_that_begins_too_many_logins_must_wait(site: Site) -> None:
    """It is told for how long."""
    for _ in range(40):
        await site.begin()
    answer = await site.http.post(f"{BELOW}/auth_url", data=b"{}")
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1


def test_rights_are_said_in_words() -> None:
    """What has no words here stands as it is."""
    scopes = "openid storage.read:/cms compute.create wlcg.groups wlcg.groups:/cms eduperson"
    assert rights_in_words(ScopeSet.parse(scopes)) == [
        "read files in /cms",
        "start jobs",
        "say which groups you are in",
        "say that you are in the group /cms",
        "eduperson",
    ]
