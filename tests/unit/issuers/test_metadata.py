"""An issuer's metadata is believed only about itself, and remembered while it is away."""

from __future__ import annotations

from typing import Any

import pytest

from credbroker.domain.errors import IssuerMisbehaved, IssuerUnreachable
from credbroker.issuers.metadata import (
    FRESH_SECONDS,
    THERE_SECONDS,
    TRY_AGAIN_SECONDS,
    Endpoints,
    Metadata,
)
from credbroker.ports import NoAnswerError, NotSentError
from tests.fakes.clock import FakeClock
from tests.fakes.door import FakeDoor, Reply, answer

URL = "https://issuer.test/"


def document(**changes: Any) -> dict[str, Any]:
    """Return metadata that is right, with changes."""
    right = {
        "issuer": URL,
        "authorization_endpoint": f"{URL}authorize",
        "token_endpoint": f"{URL}token",
        "device_authorization_endpoint": f"{URL}devicecode",
        "revocation_endpoint": f"{URL}revoke",
        "jwks_uri": "https://keys.test/jwk",
        "response_types_supported": ["code"],
    }
    return right | changes


def metadata(clock: FakeClock, reply: Reply, url: str = URL) -> tuple[Metadata, FakeDoor]:
    """Return an issuer's metadata and the way to it."""
    door = FakeDoor(lambda _: reply)
    return Metadata(url, door, clock, 5), door


async def test_the_endpoints_are_read_once_a_day(clock: FakeClock) -> None:
    """Only the keys may be on another host."""
    held, door = metadata(clock, answer(200, document()))
    expected = Endpoints(
        f"{URL}token",
        f"{URL}devicecode",
        "https://keys.test/jwk",
        f"{URL}revoke",
        f"{URL}authorize",
    )
    for _ in range(3):
        assert await held.endpoints() == expected
    assert door.urls() == [f"{URL}.well-known/openid-configuration"]
    clock.advance(FRESH_SECONDS)
    await held.endpoints()
    assert len(door.sent) == 2


@pytest.mark.parametrize(
    "url", ["https://issuer.test", "https://issuer.test/realms/x", "https://issuer.test/x/"]
)
async def test_the_address_is_the_issuers_without_its_final_slash(
    clock: FakeClock, url: str
) -> None:
    """OpenID Connect Discovery section 4; the string itself stays exact."""
    held, door = metadata(clock, answer(200, document(issuer=url)), url)
    await held.endpoints()
    assert door.urls() == [f"{url.rstrip('/')}/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "https://issuer.test"},
        {"issuer": "https://evil.test/"},
        {"issuer": None},
        {"token_endpoint": "https://evil.test/token"},
        {"token_endpoint": "https://issuer.test:8443/token"},
        {"token_endpoint": "https://issuer.test@evil.test/token"},
        {"token_endpoint": "http://issuer.test/token"},
        {"token_endpoint": "//issuer.test/token"},
        {"token_endpoint": None},
        {"device_authorization_endpoint": "https://evil.test/devicecode"},
        {"device_authorization_endpoint": "https://[::1/devicecode"},
        {"device_authorization_endpoint": None},
        {"revocation_endpoint": "https://evil.test/revoke"},
        {"jwks_uri": "http://keys.test/jwk"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 5},
        {"authorization_endpoint": None},
    ],
)
async def test_metadata_that_leads_elsewhere_is_refused(
    clock: FakeClock, wrong: dict[str, Any]
) -> None:
    """No refresh token follows it: another issuer, another host, another scheme, something missing."""
    held, _ = metadata(clock, answer(200, document(**wrong)))
    with pytest.raises(IssuerMisbehaved):
        await held.endpoints()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (NotSentError(), IssuerUnreachable),
        (NoAnswerError(), IssuerUnreachable),
        (answer(503), IssuerUnreachable),
        (answer(404), IssuerMisbehaved),
        (answer(302, None, location="https://evil.test/"), IssuerMisbehaved),
        (answer(200), IssuerMisbehaved),
        (answer(200, []), IssuerMisbehaved),
    ],
)
async def test_no_metadata_is_told_as_what_it_is(
    clock: FakeClock, reply: Reply, kind: type[Exception]
) -> None:
    """Away, or not speaking the protocol."""
    held, _ = metadata(clock, reply)
    with pytest.raises(kind):
        await held.endpoints()


@pytest.mark.parametrize(
    "reply",
    [NotSentError(), answer(500), answer(503), answer(200, document(issuer="https://evil.test/"))],
)
async def test_the_last_good_copy_is_kept(clock: FakeClock, reply: Reply) -> None:
    """While the issuer is away, or says something it should not."""
    replies: list[Reply] = [answer(200, document())]
    door = FakeDoor(lambda _: replies[0])
    held = Metadata(URL, door, clock, 5)
    good = await held.endpoints()
    replies[0] = reply
    clock.advance(10 * FRESH_SECONDS)
    assert await held.endpoints() == good


async def test_a_loopback_issuer_may_do_without_tls(clock: FakeClock) -> None:
    """As the settings allow; it is held to its own host all the same."""
    url = "http://127.0.0.1:8080/"
    own = {
        name: value.replace(URL, url)
        for name, value in document().items()
        if isinstance(value, str)
    }
    held, _ = metadata(clock, answer(200, own | {"jwks_uri": f"{url}jwk"}), url)
    assert (await held.endpoints()).token == f"{url}token"


async def test_an_old_copy_is_used_while_the_issuer_is_silent(clock: FakeClock) -> None:
    """And it is asked again once a minute, not by every caller."""
    replies: list[Reply] = [answer(200, document()), NotSentError(), NotSentError()]
    door = FakeDoor(lambda _: replies.pop(0))
    held = Metadata(URL, door, clock, 5)
    first = await held.endpoints()
    clock.advance(FRESH_SECONDS)
    for _ in range(3):
        assert await held.endpoints() == first
    assert len(door.sent) == 2
    clock.advance(TRY_AGAIN_SECONDS)
    assert await held.endpoints() == first
    assert len(door.sent) == 3


async def test_whether_it_is_there_is_asked_anew_after_a_while(clock: FakeClock) -> None:
    """An old copy of the endpoints does not answer that."""
    replies: list[Reply] = [answer(200, document()), NotSentError(), answer(200, document())]
    door = FakeDoor(lambda _: replies.pop(0))
    held = Metadata(URL, door, clock, 30)
    for _ in range(3):
        await held.check_there()
    assert len(door.sent) == 1
    clock.advance(THERE_SECONDS)
    with pytest.raises(IssuerUnreachable):
        await held.check_there()
    await held.check_there()
    assert len(door.sent) == 3


@pytest.mark.parametrize(
    "said", ["https://evil.test/userinfo", "http://issuer.test/userinfo", 5, None]
)
async def test_an_issuer_that_speaks_of_persons_elsewhere_is_not_asked_there(
    clock: FakeClock, said: object
) -> None:
    """Its access tokens are shown to no other host; logins do without."""
    held, _ = metadata(clock, answer(200, document(userinfo_endpoint=said)))
    assert (await held.endpoints()).userinfo is None
    held, _ = metadata(clock, answer(200, document(userinfo_endpoint=f"{URL}userinfo")))
    assert (await held.endpoints()).userinfo == f"{URL}userinfo"
