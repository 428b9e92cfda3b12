"""Every page as a person sees it: in Debian's Chromium, with scripts and without.

- One story: a login is confirmed, done at the issuer, looked at on the page of grants, and ended there.
- Neither the console nor the list of what was asked for says that a page wanted more than it may.
- No refresh token and no lease is in any page.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import pytest

from credbroker.domain.grants import GrantState
from tests.interop.chromium import Chromium, missing_program
from tests.interop.htgettoken.issuer import password_of
from tests.interop.htgettoken.site import ISSUER, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(240)]

NONCE = "n" * 43
WRONG_CODE = "XXXX-XXXX"
HOSTILE_JOB = "<script>document.title='owned'</script><img src=https://203.0.113.1/>"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, shared_openbao: OpenBaoServer
) -> Iterator[Site]:
    """A running broker between OpenBao and the development issuer."""
    if missing := missing_program():
        pytest.skip(missing)
    site = Site(tmp_path_factory.mktemp("pages"), authority, shared_openbao)
    try:
        site.start()
        yield site
    finally:
        site.close()


class Client:
    """What a client of the broker sends while its person is at the browser."""

    def __init__(self, site: Site) -> None:
        """Talk to the site's broker."""
        trust = ssl.create_default_context(cafile=str(site.ca_file))
        self._open = build_opener(ProxyHandler({}), HTTPSHandler(context=trust)).open
        self._url = site.url
        self._below = f"/v1/auth/oidc-{ISSUER}/oidc"

    def begin(self) -> dict[str, str]:
        """Begin a login; return what the terminal shows."""
        answer = self._ask(f"{self._below}/auth_url", {"role": "default", "client_nonce": NONCE})
        return dict(answer["data"])

    def finish(self, begun: dict[str, str], person: str) -> str:
        """Poll a login that is done and have it stored; return the lease."""
        body = {"state": begun["state"], "client_nonce": NONCE}
        auth = self._ask(f"{self._below}/poll", body)["auth"]
        lease, handle = str(auth["client_token"]), auth["metadata"]["oauth2_refresh_token"]
        self._ask(
            f"/v1/secret/oauth/creds/{ISSUER}/{person}:default",
            {"server": ISSUER, "refresh_token": handle},
            lease,
        )
        return lease

    def make_job(self, lease: str) -> str:
        """Make the lease of a job whose name is meant to do harm."""
        job = {"job": HOSTILE_JOB, "scopes": ["storage.read:/"], "lifetime_seconds": 600}
        audiences = ["https://storage.example"]
        return str(
            self._ask("/api/v1/leases", {**job, "audiences": audiences}, lease)["lease_token"]
        )

    def is_alive(self, lease: str) -> bool:
        """Tell whether the broker still knows a lease."""
        try:
            self._ask("/v1/auth/token/lookup-self", None, lease)
        except HTTPError as refused:
            with refused:
                return False
        return True

    def _ask(self, path: str, body: object, lease: str = "") -> Any:
        content = None if body is None else json.dumps(body).encode()
        shown = {"X-Vault-Token": lease, "Authorization": f"Bearer {lease}"} if lease else {}
        with self._open(Request(self._url + path, content, shown), None, 20.0) as answer:
            return json.loads(answer.read() or b"null")


class AtBrowser:
    """A person at a browser, and every page that they were shown."""

    def __init__(self, browser: Chromium, person: str) -> None:
        """Be `person`."""
        self.browser, self.person = browser, person
        self.seen = ""

    def confirm(self, code: str) -> str:
        """Type the code of the terminal; return the next page's title."""
        self.browser.type("#code", code)
        return self.press("button")

    def press(self, button: str) -> str:
        """Press something; return the next page's title."""
        self.seen += self.browser.source
        self.browser.press(button)
        self.seen += self.browser.source
        return self.browser.title

    def through_the_issuer(self, title: str) -> str:
        """Sign in, if asked to, and agree; return the title of the page that this leads to."""
        if title == "Sign in":
            self.browser.type("[name=name]", self.person)
            self.browser.type("[name=password]", password_of(self.person))
            title = self.press("button")
        assert title == "Do you agree?"
        return self.press("button[value=allow]")


@pytest.mark.parametrize(("person", "scripts"), [("ada", True), ("bob", False)])
def test_a_person_logs_in_looks_at_their_grants_and_ends_them(
    site: Site, tmp_path: Path, person: str, scripts: bool
) -> None:
    """Every page does what it says, and asks for nothing beyond itself."""
    client = Client(site)
    with Chromium(tmp_path, scripts=scripts) as browser:
        at = AtBrowser(browser, person)
        begun = client.begin()
        browser.go(begun["auth_url"])
        assert browser.title == "Is this your login?"
        assert "127.0.0.1" in browser.text
        assert browser.style("body", "max-width") != "none"  # the style sheet is there
        at.confirm(WRONG_CODE)
        assert "This is not the code of this login." in browser.text
        assert at.through_the_issuer(at.confirm(begun["user_code"])) == "You are logged in"
        lease = client.finish(begun, person)
        job = client.make_job(lease)
        _looks_at_their_grants(at)
        assert HOSTILE_JOB in browser.text
        assert at.press("button[name=lease]") == "My grants and tokens"
        assert HOSTILE_JOB not in browser.text
        assert client.is_alive(lease)
        assert not client.is_alive(job)
        assert at.press("form[method=get] button") == "Log out?"
        assert site.grant(person).state is GrantState.READY
        assert at.press("form button") == "You are logged out"
        assert "the issuer has revoked it" in browser.text
        assert site.grant(person).state is GrantState.ENDED
        at.press("a")
        assert "ended" in browser.text
        browser.look_back()
    _wanted_nothing_else(browser)
    secret = [*site.issuer.refresh_tokens, lease, job, lease.partition(".")[2]]
    assert not [one for one in secret if one in at.seen]


def _looks_at_their_grants(at: AtBrowser) -> None:
    assert at.press("a") == "My grants and tokens"
    assert at.through_the_issuer(at.press("button[name=issuer]")) == "My grants and tokens"
    for words in (f"{at.person} at {ISSUER}", "ready", "read files in all places", "your login"):
        assert words in at.browser.text


def _wanted_nothing_else(browser: Chromium) -> None:
    """No page broke its own rules, and nothing beyond this machine was asked for."""
    (wrong_code,) = browser.console
    assert wrong_code.endswith("the server responded with a status of 400 (Bad Request)")
    network = [one for one in map(urlsplit, browser.asked_for) if one.scheme.startswith("http")]
    assert network
    assert {one.hostname for one in network} == {"127.0.0.1"}


def test_the_issuers_link_is_worth_nothing_in_another_browser(site: Site, tmp_path: Path) -> None:
    """Who confirms a login himself and hands the issuer's page on gets nothing; the other is warned."""
    client = Client(site)
    (tmp_path / "phisher").mkdir()
    (tmp_path / "victim").mkdir()
    with Chromium(tmp_path / "phisher") as phisher, Chromium(tmp_path / "victim") as victim:
        begun = client.begin()
        phisher.go(begun["auth_url"])
        phisher.type("#code", begun["user_code"])
        phisher.press("button")
        at = AtBrowser(victim, "carol")
        victim.go(_sent_to(phisher))
        assert at.through_the_issuer(victim.title) == "This did not work"
        assert "This is not the browser in which the login was confirmed." in victim.text


def _sent_to(browser: Chromium) -> str:
    """Return the address of the issuer's that a browser was sent on to."""
    browser.look_back()
    return next(one for one in browser.asked_for if "code_challenge=" in one)
