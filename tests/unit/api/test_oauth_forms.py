"""What a request asks for is read, and what cannot be read is refused without a word of it."""

from __future__ import annotations

import asyncio
import base64

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from credbroker.api import oauth_forms
from credbroker.api.oauth_forms import asked_in, exchange_in, form_in, login_in
from credbroker.domain.errors import Malformed, ScopeRefused, UnknownClient
from credbroker.domain.policy import Asked
from credbroker.domain.scopes import ScopeSet
from credbroker.wire.exchange import ACCESS_TOKEN_TYPE
from credbroker.wire.oauth import REFRESH_TOKEN_TYPE, Form, Login

EXCHANGE = f"subject_token=t&subject_token_type={ACCESS_TOKEN_TYPE}"


def login(form: str = "", header: str | None = None) -> Login:
    """Return who shows itself so."""
    headers = {} if header is None else {"Authorization": header}
    return login_in(make_mocked_request("POST", "/", headers=headers), Form.read(form.encode()))


def basic(shown: str) -> str:
    """Return a header."""
    return "Basic " + base64.b64encode(shown.encode()).decode()


def test_a_client_shows_itself_in_its_header_or_its_form() -> None:
    """The scheme's name is no matter of case (RFC 9110 section 11.1)."""
    assert login(header=basic("a:b")) == Login(("a",), ("b",))
    assert login(header=basic("a:b").replace("Basic", "bAsIc")) == Login(("a",), ("b",))
    assert login("client_id=a&client_secret=b") == Login(("a",), ("b",))
    assert login("client_id=vo:fts", basic("vo%3Afts:b")).ids == ("vo%3Afts", "vo:fts")


@pytest.mark.parametrize(
    "form", ["", "client_id=a", "client_secret=b", "client_id=&client_secret=b"]
)
@pytest.mark.parametrize("header", [None, "Bearer abc", "Negotiate abc"])
def test_who_shows_no_secret_is_unknown(form: str, header: str | None) -> None:
    """There are no clients without one."""
    with pytest.raises(UnknownClient):
        login(form, header)


@pytest.mark.parametrize("form", ["client_secret=b", "client_id=a&client_secret=b", "client_id=c"])
def test_header_and_form_are_not_both_believed(form: str) -> None:
    """RFC 6749 section 2.3: one way to log in with each request."""
    with pytest.raises(Malformed):
        login(form, basic("a:b"))


async def posted(body: bytes) -> Form:
    """Return the form that is read from a request."""
    content = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)
    content.feed_data(body)
    content.feed_eof()
    return await form_in(make_mocked_request("POST", "/", payload=content))


async def test_what_is_sent_over_and_over_is_read_once() -> None:
    """The same bytes say the same."""
    body = b"grant_type=client_credentials&scope=storage.read:/a&audience=https://se.test"
    first = await posted(body)
    assert first == Form.read(body)
    assert await posted(body) is first


@pytest.mark.parametrize(
    "more", ["&client_secret=s3cret", "&refresh_token=s3cret", "&client%5Fsecret=s3cret"]
)
async def test_nothing_with_a_secret_in_it_is_remembered(more: str) -> None:
    """However its name is written; nor what is long, of which strangers could send much."""
    await posted(b"grant_type=client_credentials" + more.encode())
    await posted(b"grant_type=client_credentials&scope=" + b"x" * 3000)
    kept = [repr(body) for body in oauth_forms._usual._kept]
    assert not any("s3cret" in body or len(body) > 3000 for body in kept)


async def test_what_is_remembered_stays_within_bounds() -> None:
    """A stranger can send a new form each time."""
    for number in range(oauth_forms.MOST_USUAL + 10):
        await posted(b"grant_type=client_credentials&scope=x%d" % number)
    assert len(oauth_forms._usual._kept) <= oauth_forms.MOST_USUAL


def test_what_is_not_named_is_left_open() -> None:
    """Then the policy decides."""
    assert asked_in(Form.read(b"")) == Asked(None, None)
    assert asked_in(Form.read(b"scope=openid&aud=x")) == Asked(ScopeSet.parse("openid"), ("x",))


@pytest.mark.parametrize("scope", ["storage.read:/a/../b", "storage.read", 'a"b', "x\x00y"])
def test_a_scope_that_cannot_be_read_is_not_repeated(scope: str) -> None:
    """Whatever it held."""
    with pytest.raises(ScopeRefused) as error:
        asked_in(Form({"scope": scope}))
    assert scope not in error.value.sentence


def test_an_exchange_gives_an_access_token_unless_another_kind_is_wanted() -> None:
    """RFC 8693 section 2.1."""
    assert not exchange_in(Form.read(EXCHANGE.encode())).wants_refresh_token
    wanted = f"{EXCHANGE}&requested_token_type={REFRESH_TOKEN_TYPE}"
    assert exchange_in(Form.read(wanted.encode())).wants_refresh_token


def test_an_actors_token_comes_with_its_kind_or_not_at_all() -> None:
    """RFC 8693 section 2.1: required with it, forbidden without."""
    both = exchange_in(
        Form.read(f"{EXCHANGE}&actor_token=a&actor_token_type={ACCESS_TOKEN_TYPE}".encode())
    )
    assert both.actor_token is not None
    assert exchange_in(Form.read(EXCHANGE.encode())).actor_token is None
    for more in ("actor_token=a", f"actor_token_type={ACCESS_TOKEN_TYPE}"):
        with pytest.raises(Malformed):
            exchange_in(Form.read(f"{EXCHANGE}&{more}".encode()))
