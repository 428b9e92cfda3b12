"""The page *My grants and tokens*, over real HTTP: who gets in, what it shows, what its buttons end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from credbroker.api.answering import answering_problems
from credbroker.api.browsers import WAY_BACK, Forms
from credbroker.api.grants_pages import VISIT_COOKIE, GrantsPages
from credbroker.api.login_pages import LoginPages
from credbroker.api.outlook import Outlook
from credbroker.api.pages.words import purpose_in_words, state_in_words
from credbroker.api.strangers import Strangers
from credbroker.broker.logins.visiting import VISIT_SECONDS
from credbroker.domain.grants import GrantState
from credbroker.domain.limits import Allowance
from tests.unit.broker.confirming_world import ADA, SEAL
from tests.unit.broker.visit_world import VisitWorld
from tests.unit.broker.world import ISSUER
from tests.unit.things import grant, lease

BELOW = f"/v1/auth/oidc-{ISSUER}/oidc"
BOB = {"sub": "sub-bob", "wlcg.credkey": "bob"}


@dataclass
class Browser:
    """One browser: its cookies, and the page that it shows."""

    around: VisitWorld
    http: TestClient[web.Request, web.Application]
    cookies: dict[str, str] = field(default_factory=dict)
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)

    async def go(self, path: str, form: Mapping[str, str] | None = None) -> int:
        """Open an address of the broker's, or send a form there; go on where it leads inside."""
        for _ in range(4):
            shown = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            answer = await self.http.request(
                "GET" if form is None else "POST", path, data=form,
                headers={"Cookie": shown} if shown else {}, allow_redirects=False,
            )  # fmt: skip
            self.text, self.headers = await answer.text(), answer.headers
            self.set_cookies += answer.headers.getall("Set-Cookie", [])
            for name, morsel in answer.cookies.items():
                self.cookies[name] = morsel.value
            path, form = answer.headers.get("Location", ""), None
            if answer.status != 303 or not path.startswith("/"):
                return answer.status
        raise AssertionError("it is sent round in circles")

    @property
    def form(self) -> str:
        """The hidden value of the page's forms."""
        found = re.search(r'name="form" value="([0-9a-f]+)"', self.text)
        assert found is not None, self.text
        return found.group(1)

    def button(self, name: str) -> str:
        """Return the value of the page's first button of this name."""
        found = re.search(rf'<button name="{name}" value="([^"]+)"', self.text)
        assert found is not None, self.text
        return found.group(1)

    async def begin(self) -> str:
        """Begin a visit; return the address at the issuer."""
        await self.go("/mine")
        await self.go("/mine/visit", {"form": self.form, "issuer": self.button("issuer")})
        return self.headers["Location"]

    async def log_in(self, claims: Mapping[str, object] = ADA) -> int:
        """Begin a visit and come back from the issuer."""
        address = await self.begin()
        code = self.around.world.issuer.log_in(address, claims)
        return await self.go(way_back(address, code))

    def other(self) -> Browser:
        """Return another person's browser."""
        return Browser(self.around, self.http)


def way_back(address: str, code: str) -> str:
    """Return where the issuer sends a browser that it was sent to log in."""
    state = dict(parse_qsl(urlsplit(address).query))["state"]
    return f"{BELOW}/callback?state={state}&code={code}"


def state_of(browser: Browser) -> GrantState:
    """Return how ada's grant stands."""
    return browser.around.world.grant.state


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser that has a broker to go to."""
    around = VisitWorld()
    world, deeds = around.world, around.deeds
    strangers = Strangers(Allowance(per_second=1.0, burst=60), world.clock)
    forms, outlook = Forms(SEAL, world.entropy), Outlook(around.replica.engine, world.clock, 1e9)
    mine = GrantsPages(
        deeds.visiting, deeds.my_grants, strangers, forms, outlook, choosing=around.choosing
    )
    logins = LoginPages(deeds.confirming, deeds.returning, strangers, forms, mine)
    app = web.Application(middlewares=[answering_problems(world.entropy, world.audit)])
    app.add_routes([*logins.routes(), *mine.routes()])
    async with TestClient(TestServer(app)) as http:
        yield Browser(around, http)


async def test_a_person_gets_in_and_sees_what_is_theirs(browser: Browser) -> None:
    """What may be done with it is said in words; neither a token nor a lease's secret is shown."""
    around = browser.around
    await around.world.give_grant()
    caller = await around.lease()
    await around.job(caller, "sim-7")
    fingerprint = await around.ssh_key()
    assert await browser.log_in() == 200
    for words in (
        "ada at cms", "default", "ready", "read files in all places", "your login", "the job sim-7",
        "192.0.2.7", "2026-06-01 12:00 UTC", fingerprint,
    ):  # fmt: skip
        assert words in browser.text
    assert "first" not in browser.text
    assert caller.lease.secret_hash not in browser.text
    assert "<script" not in browser.text
    policy = browser.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert browser.headers["Cache-Control"] == "no-store"


async def test_the_cookie_of_a_visit_goes_to_this_host_alone(browser: Browser) -> None:
    """No script reads it, no other site's form brings it along, and it is over with the visit."""
    await browser.log_in()
    (cookie,) = [one for one in browser.set_cookies if one.startswith(VISIT_COOKIE)]
    assert VISIT_COOKIE.startswith("__Host-")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={VISIT_SECONDS:.0f}"):
        assert part in cookie
    (way_back,) = [one for one in browser.set_cookies if one.startswith(WAY_BACK)]
    assert "Path=/" in way_back


async def test_names_that_somebody_chose_are_shown_as_text(browser: Browser) -> None:
    """A job's name may hold anything printable."""
    await browser.around.world.give_grant()
    await browser.around.job(await browser.around.lease(), '<img src=x onerror="alert(1)">\'&')
    await browser.log_in()
    assert "<img" not in browser.text
    assert "the job &lt;img src=x onerror=&#34;alert(1)&#34;&gt;" in browser.text


async def test_a_lease_is_revoked_by_its_button(browser: Browser) -> None:
    """The page is shown anew, without it."""
    await browser.around.world.give_grant()
    caller = await browser.around.lease()
    await browser.log_in()
    form = {"form": browser.form, "lease": browser.button("lease")}
    assert await browser.go("/mine/lease", form) == 200
    assert "No lease lives on it." in browser.text
    assert browser.around.world.leases.newest(caller.lease.id).ended_at is not None


async def test_a_grant_is_revoked_after_one_more_page(browser: Browser) -> None:
    """It says what ends; opening it ends nothing."""
    await browser.around.world.give_grant()
    await browser.around.lease()
    await browser.log_in()
    assert await browser.go("/mine/grant?role=default&credkey=ada") == 200
    assert "1 leases end with it" in browser.text
    assert state_of(browser) is GrantState.READY
    fields = {"form": browser.form, "role": "default", "credkey": "ada"}
    assert await browser.go("/mine/grant", fields) == 200
    assert "the issuer has revoked it" in " ".join(browser.text.split())
    assert state_of(browser) is GrantState.ENDED
    assert await browser.go("/mine") == 200
    assert "ended" in browser.text
    assert "No lease" not in browser.text


async def test_an_ssh_key_is_removed_by_its_button(browser: Browser) -> None:
    """Of the last one nothing is left to be seen."""
    fingerprint = await browser.around.ssh_key()
    await browser.log_in()
    await browser.go("/mine/ssh-key", {"form": browser.form, "key": browser.button("key")})
    assert fingerprint not in browser.text


async def test_a_form_of_another_page_or_visit_is_not_taken(browser: Browser) -> None:
    """Without its value, with that of the page before the login, with another visit's, another's."""
    await browser.around.world.give_grant()
    caller = await browser.around.lease()
    await browser.begin()
    before = browser.other()
    await before.go("/mine")
    bob = browser.other()
    await bob.log_in(BOB)
    await browser.log_in()
    page_before = browser.form
    del browser.cookies[VISIT_COOKIE]
    await browser.log_in()  # another visit, in the same browser
    for value in ("", "x", before.form, bob.form, page_before):
        form = {"form": value, "lease": caller.lease.id}
        assert await browser.go("/mine/lease", form) == 403
        assert "out of date" in browser.text
    assert browser.around.world.leases.newest(caller.lease.id).ended_at is None


async def test_bob_cannot_end_what_is_adas(browser: Browser) -> None:
    """Nor see it, whatever he asks for."""
    await browser.around.world.give_grant()
    caller = await browser.around.lease()
    await browser.log_in(BOB)
    assert "Nothing is held in your name." in browser.text
    value = browser.form
    for path, fields in (
        ("lease", {"lease": caller.lease.id}),
        ("lease", {}),
        ("grant", {"role": "default", "credkey": "ada"}),
        ("ssh-key", {"key": "SHA256:x"}),
    ):
        assert await browser.go(f"/mine/{path}", {"form": value, **fields}) in {400, 404}
    assert await browser.go("/mine/grant?role=default&credkey=ada") == 404
    assert state_of(browser) is GrantState.READY


async def test_when_a_visit_is_over_its_buttons_do_nothing(browser: Browser) -> None:
    """The person is asked to log in again; so is who left, or was contained."""
    await browser.around.world.give_grant()
    caller = await browser.around.lease()
    await browser.log_in()
    form = {"form": browser.form, "lease": caller.lease.id}
    browser.around.world.clock.advance(VISIT_SECONDS)
    assert await browser.go("/mine/lease", form) == 403
    assert "Your visit is over." in browser.text
    assert await browser.go("/mine/grant?role=default&credkey=ada") == 200
    assert "Log in at cms" in browser.text
    await browser.log_in()
    await browser.go("/mine/leave", {"form": browser.form})
    assert "Log in at cms" in browser.text


async def test_another_browser_cannot_finish_a_visit(browser: Browser) -> None:
    """Whoever is sent the issuer's answer of somebody else is let in nowhere."""
    address = await browser.begin()
    code, other = browser.around.world.issuer.log_in(address, ADA), browser.other()
    assert await other.go(way_back(address, code)) == 403
    assert "not the browser" in other.text
    assert VISIT_COOKIE not in other.cookies
    assert await other.go(f"{BELOW}/callback?state=mine-x&error=no") == 403


async def test_a_visit_cannot_be_begun_from_another_site(browser: Browser) -> None:
    """Nor at an issuer that is not served."""
    assert await browser.go("/mine/visit", {"issuer": ISSUER}) == 403
    await browser.go("/mine")
    assert await browser.go("/mine/visit", {"form": browser.form, "issuer": "nowhere"}) == 404


async def test_too_many_requests_are_told_to_wait(browser: Browser) -> None:
    """Visitors count as strangers like everybody else."""
    for _ in range(60):
        await browser.go("/mine")
    assert await browser.go("/mine") == 429
    assert "Retry-After" in browser.headers


@pytest.mark.parametrize("state", GrantState)
def test_every_state_has_its_words(state: GrantState) -> None:
    """With the sentence of the record, if there is one."""
    assert state_in_words(grant(state=state, note=""))
    assert state_in_words(grant(state=state, note="Why.")).endswith(": Why.")


def test_every_lease_has_its_purpose() -> None:
    """A job, a login, a program, or a key or ticket."""
    said = {
        purpose_in_words(lease(**changes))
        for changes in (
            {"job": "job-1"},
            {"job": None, "subject": "sub-ada", "ancestors": ()},
            {"job": None, "subject": "sub-ada", "ancestors": ("above",)},
            {"job": None, "subject": "", "ancestors": ()},
        )
    }
    assert len(said) == 4


async def test_who_gets_mails_says_here_whether_they_want_them(browser: Browser) -> None:
    """Whoever has no address that mails could go to is asked nothing."""
    await browser.around.world.give_grant()
    await browser.log_in()
    assert "Mails about your logins" not in browser.text
    await browser.around.world.rewrite(mail="ada@example.org")
    await browser.go("/mine")
    assert "a mail goes to\nada@example.org" in browser.text
    await browser.go("/mine/notices", {"form": browser.form, "mail": browser.button("mail")})
    assert not (await browser.around.choosing.of(ISSUER, "sub-ada")).mail
    assert "No mails go to" in browser.text
    assert browser.around.world.audit.last("notices_chosen")["mail"] is False
    await browser.go("/mine/notices", {"form": browser.form, "mail": browser.button("mail")})
    assert (await browser.around.choosing.of(ISSUER, "sub-ada")).mail


async def test_no_other_site_chooses_for_a_visitor(browser: Browser) -> None:
    """A form without the page's own hidden value chooses nothing."""
    await browser.around.world.give_grant()
    await browser.log_in()
    assert await browser.go("/mine/notices", {"form": "0" * 64, "mail": "off"}) == 403
    assert (await browser.around.choosing.of(ISSUER, "sub-ada")).mail
