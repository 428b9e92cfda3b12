"""Only the issuer's published keys make a token believed, and the issuer is not asked too often."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from credbroker.domain.errors import IssuerMisbehaved, IssuerUnreachable
from credbroker.domain.marks import PublishedKeys
from credbroker.domain.secret import Secret
from credbroker.issuers.kept_keys import KeptKeys
from credbroker.issuers.keys import (
    FRESH_SECONDS,
    IDLE_SECONDS,
    LONGEST_SECONDS,
    REFETCH_SECONDS,
    RETRY_SECONDS,
    Keys,
)
from credbroker.issuers.metadata import Metadata
from credbroker.ports import HttpAnswer, NotSentError
from tests.fakes.clock import FakeClock, turns
from tests.fakes.door import FakeDoor, Reply, Sent, answer
from tests.fakes.store import MemoryRecords
from tests.unit.issuers.test_metadata import URL, document

Key = RSAKey | ECKey
OURS = ECKey.generate_key("P-256", {"kid": "ours", "use": "sig"})
NEXT = ECKey.generate_key("P-256", {"kid": "next"})
FOREIGN = ECKey.generate_key("P-256", {"kid": "ours"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
CLAIMS = {"iss": URL, "sub": "sub-ada"}


class Published:
    """An issuer's key set, as it stands or fails now."""

    def __init__(self, *keys: Any) -> None:
        self.keys: list[Any] = [key.as_dict(private=False) for key in keys]
        self.failure: Reply | None = None
        self.fetches = 0

    def __call__(self, sent: Sent) -> Reply:
        if sent.url.endswith("openid-configuration"):
            return answer(200, document())
        self.fetches += 1
        return self.failure or answer(200, {"keys": self.keys})


def signed(key: Any = OURS, header: dict[str, Any] | None = None, claims: Any = CLAIMS) -> Secret:
    """Return a JWT."""
    header = {"alg": "RS256" if key is RSA else "ES256", "kid": key.kid} | (header or {})
    algorithms = [header["alg"]]
    text = jws.serialize_compact(header, json.dumps(claims), key, algorithms=algorithms)
    return Secret("access token", text)


def keys_of(published: Published, clock: FakeClock, kept: KeptKeys | None = None) -> Keys:
    """Return the broker's view of an issuer's keys."""
    door = FakeDoor(published)
    return Keys(Metadata(URL, door, clock, 5), door, clock, 5, kept=kept)


@pytest.mark.parametrize("key", [OURS, RSA], ids=["ES256", "RS256"])
async def test_a_token_by_a_published_key_is_believed(clock: FakeClock, key: Key) -> None:
    """By both algorithms of the profile; one fetch serves many."""
    published = Published(OURS, RSA)
    keys = keys_of(published, clock)
    for _ in range(3):
        assert await keys.verify(signed(key)) == CLAIMS
    assert published.fetches == 1


def encode(part: object) -> str:
    """Write base64url of JSON."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def forgeries() -> dict[str, str]:
    """Return tokens that look right and are not."""
    good = signed().reveal()
    header, claims, signature = good.split(".")
    hmac_key = OctKey.import_key(json.dumps(OURS.as_dict(private=False)))
    by_secret = jws.serialize_compact(
        {"alg": "HS256", "kid": "ours"}, json.dumps(CLAIMS), hmac_key, algorithms=["HS256"]
    )
    return {
        "another key by our name": signed(FOREIGN).reveal(),
        "no algorithm": f"{encode({'alg': 'none', 'kid': 'ours'})}.{claims}.",
        "the public key as a shared secret": by_secret,
        "no key id": f"{encode({'alg': 'ES256'})}.{claims}.{signature}",
        "a key id of another type": f"{encode({'alg': 'ES256', 'kid': 5})}.{claims}.{signature}",
        "a key of its own in the header": signed(
            FOREIGN, {"jwk": FOREIGN.as_dict(private=False)}
        ).reveal(),
        "an algorithm of another key type": f"{encode({'alg': 'RS256', 'kid': 'ours'})}.{claims}.{signature}",
        "an algorithm that is no text": f"{encode({'alg': 5, 'kid': 'ours'})}.{claims}.{signature}",
        "an extension nobody knows": f"{encode({'alg': 'ES256', 'kid': 'ours', 'crit': ['x'], 'x': 1})}.{claims}.{signature}",
        "other claims": f"{header}.{encode({'sub': 'sub-bob'})}.{signature}",
        "no signature": f"{header}.{claims}.",
        "half a signature": f"{header}.{claims}.{signature[:40]}",
        "claims that are a list": signed(claims=[1]).reveal(),
        "nothing": "",
        "two parts": f"{header}.{claims}",
        "letters of no alphabet": "é.é.é",
        "half a character": "\ud800.a.b",
    }


@pytest.mark.parametrize("name", forgeries())
async def test_a_forged_token_is_refused(clock: FakeClock, name: str) -> None:
    """By one kind of error, which holds nothing of it."""
    forged = forgeries()[name]
    with pytest.raises(IssuerMisbehaved) as refused:
        await keys_of(Published(OURS, RSA), clock).verify(Secret("access token", forged))
    assert not forged or forged not in str(refused.value)


@given(st.text(max_size=60))
async def test_any_text_is_refused(text: str) -> None:
    """Nothing else is raised."""
    with pytest.raises(IssuerMisbehaved):
        await keys_of(Published(OURS), FakeClock()).verify(Secret("access token", text))


@pytest.mark.parametrize(
    "odd",
    [
        OKPKey.generate_key("Ed25519", {"kid": "odd"}).as_dict(private=False),
        {"kty": "new", "kid": "odd"},
        {"kty": "RSA", "kid": "odd"},
        {"kid": "odd"},
        {},
        5,
        RSA.as_dict(private=False) | {"kid": 5},
    ],
)
async def test_a_key_that_cannot_be_read_hides_no_other(clock: FakeClock, odd: object) -> None:
    """RFC 7517 section 5: unknown kinds are passed over."""
    published = Published(OURS)
    published.keys.insert(0, odd)
    assert await keys_of(published, clock).verify(signed()) == CLAIMS


async def test_a_key_for_encryption_signs_nothing(clock: FakeClock) -> None:
    """`use` is absent or `sig`."""
    published = Published()
    published.keys = [OURS.as_dict(private=False) | {"use": "enc"}]
    with pytest.raises(IssuerMisbehaved):
        await keys_of(published, clock).verify(signed())


@pytest.mark.parametrize(
    "failure",
    [
        *[answer(200), answer(200, []), answer(200, {}), answer(200, {"keys": 5})],
        HttpAnswer(200, {}, b"[" * 500_000),
    ],
    ids=["empty", "a list", "no keys", "keys that are none", "deep"],
)
async def test_a_set_that_is_none_is_refused(clock: FakeClock, failure: Reply) -> None:
    """Whatever is wrong with it."""
    published = Published(OURS)
    published.failure = failure
    with pytest.raises(IssuerMisbehaved):
        await keys_of(published, clock).verify(signed())


async def test_a_new_key_is_found_at_once(clock: FakeClock) -> None:
    """By one fetch, when a token names it; many tokens that come together all pass."""
    published = Published(OURS)
    keys = keys_of(published, clock)
    await keys.verify(signed())
    clock.advance(REFETCH_SECONDS)
    published.keys.append(NEXT.as_dict(private=False))
    await asyncio.gather(*(keys.verify(signed(NEXT)) for _ in range(20)))
    assert published.fetches == 2


async def test_an_unknown_key_leads_to_one_fetch_a_minute(clock: FakeClock) -> None:
    """However many forged tokens come; the good ones pass meanwhile."""
    published = Published(OURS)
    keys = keys_of(published, clock)
    await keys.verify(signed())
    for _ in range(10):
        with pytest.raises(IssuerMisbehaved, match="does not publish"):
            await keys.verify(signed(NEXT))
        await keys.verify(signed())
    assert published.fetches == 1
    clock.advance(REFETCH_SECONDS)
    with pytest.raises(IssuerMisbehaved):
        await keys.verify(signed(NEXT))
    assert published.fetches == 2


async def test_a_withdrawn_key_is_forgotten_within_hours(clock: FakeClock) -> None:
    """The refresh period is how long a revoked key may still be believed."""
    published = Published(OURS, NEXT)
    keys = keys_of(published, clock)
    await keys.verify(signed())
    published.keys.pop(0)
    clock.advance(FRESH_SECONDS + 1)
    await keys.verify(signed())
    await turns()
    with pytest.raises(IssuerMisbehaved):
        await keys.verify(signed())
    assert published.fetches == 2


async def test_a_key_that_nobody_looked_after_for_half_a_day_is_looked_up_first(
    clock: FakeClock,
) -> None:
    """It may have been withdrawn meanwhile."""
    published = Published(OURS, NEXT)
    keys = keys_of(published, clock)
    await keys.verify(signed())
    published.keys.pop(0)
    clock.advance(IDLE_SECONDS + 1)
    with pytest.raises(IssuerMisbehaved):
        await keys.verify(signed())


async def test_good_keys_are_used_while_their_server_hangs(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old enough to be fetched anew, good for days more: nobody waits for that."""
    door = FakeDoor(Published(OURS))
    keys = Keys(Metadata(URL, door, clock, 5), door, clock, 5)
    await keys.verify(signed())
    hanging = 0

    async def hangs(url: str, *, seconds: float) -> HttpAnswer:
        nonlocal hanging
        hanging += 1
        await clock.sleep(30.0)
        raise NotSentError("time is up")

    monkeypatch.setattr(door, "get", hangs)
    clock.advance(FRESH_SECONDS + 1)
    for _ in range(3):
        async with asyncio.timeout(1):
            assert await keys.verify(signed()) == CLAIMS
        await turns()
    assert hanging == 1
    await clock.pass_time(31)
    assert await keys.verify(signed()) == CLAIMS


async def test_keys_outlive_their_server_for_days_and_no_longer(clock: FakeClock) -> None:
    """Tokens verify while it is away, for four days; then nobody can tell any more."""
    published = Published(OURS)
    keys = keys_of(published, clock)
    await keys.verify(signed())
    published.failure = NotSentError()
    clock.advance(LONGEST_SECONDS - 1)
    await keys.verify(signed())
    clock.advance(REFETCH_SECONDS + 2)
    with pytest.raises(IssuerUnreachable):
        await keys.verify(signed())
    published.failure = None
    clock.advance(RETRY_SECONDS)
    await keys.verify(signed())


async def test_a_server_that_is_away_is_not_stormed(clock: FakeClock) -> None:
    """Callers that come together share one failed fetch, and are told at once."""
    published = Published(OURS)
    published.failure = NotSentError()
    keys = keys_of(published, clock)
    outcomes = await asyncio.gather(
        *(keys.verify(signed()) for _ in range(20)), return_exceptions=True
    )
    assert all(isinstance(one, IssuerUnreachable) for one in outcomes)
    assert published.fetches == 1


async def test_keys_fetched_afresh_are_used_at_once(clock: FakeClock) -> None:
    """However fresh those at hand are; a key withdrawn since is no longer believed."""
    published = Published(OURS)
    keys = keys_of(published, clock)
    await keys.verify(signed())
    published.keys = [NEXT.as_dict(private=False)]
    await keys.fetch_afresh()
    assert await keys.verify(signed(NEXT)) == CLAIMS
    with pytest.raises(IssuerMisbehaved):
        await keys.verify(signed())
    assert published.fetches == 2


async def test_keys_that_cannot_be_fetched_afresh_leave_those_at_hand(clock: FakeClock) -> None:
    """A probe costs nobody a verified token."""
    published = Published(OURS)
    keys = keys_of(published, clock)
    await keys.verify(signed())
    published.failure = NotSentError()
    await keys.fetch_afresh()
    await keys.verify(signed())
    clock.advance(LONGEST_SECONDS + 1)
    with pytest.raises(IssuerUnreachable):
        await keys.fetch_afresh()


# Kept for a start while the issuer is away


@pytest.fixture
def kept(clock: FakeClock) -> KeptKeys:
    """A record that outlives the brokers of a test."""
    return KeptKeys(MemoryRecords[PublishedKeys](clock), "keys", URL)


async def heard(clock: FakeClock, kept: KeptKeys, *published: Key) -> None:
    """Have a broker keep what the issuer publishes, and end."""
    await keys_of(Published(*published), clock, kept).fetch_afresh()
    await turns()


def dark() -> Published:
    """Return an issuer that is away."""
    published = Published(OURS)
    published.failure = NotSentError()
    return published


async def test_a_broker_that_starts_without_the_issuer_goes_by_the_kept_keys(
    clock: FakeClock, kept: KeptKeys
) -> None:
    """Both kinds of keys, for half a day from when the issuer was heard; nobody else's pass."""
    await heard(clock, kept, OURS, RSA)
    clock.advance(IDLE_SECONDS - 120)
    keys = keys_of(dark(), clock, kept)
    for key in (OURS, RSA):
        assert await keys.verify(signed(key)) == CLAIMS
    for wrong in (NEXT, FOREIGN):
        with pytest.raises(IssuerMisbehaved):
            await keys.verify(signed(wrong))
    clock.advance(119)
    assert await keys.verify(signed()) == CLAIMS
    clock.advance(2)
    with pytest.raises(IssuerUnreachable):
        await keys.verify(signed())


async def test_kept_keys_that_are_too_old_are_not_trusted(clock: FakeClock, kept: KeptKeys) -> None:
    """A key may have been withdrawn since; without any kept ones it is the same."""
    await heard(clock, kept, OURS)
    clock.advance(IDLE_SECONDS + 1)
    with pytest.raises(IssuerUnreachable):
        await keys_of(dark(), clock, kept).verify(signed())
    nothing = KeptKeys(MemoryRecords[PublishedKeys](clock), "keys", URL)
    with pytest.raises(IssuerUnreachable):
        await keys_of(dark(), clock, nothing).verify(signed())


async def test_a_key_that_was_withdrawn_is_not_among_the_kept_ones(
    clock: FakeClock, kept: KeptKeys
) -> None:
    """What was heard last counts."""
    await heard(clock, kept, OURS, NEXT)
    await heard(clock, kept, NEXT)
    keys = keys_of(dark(), clock, kept)
    assert await keys.verify(signed(NEXT)) == CLAIMS
    with pytest.raises(IssuerMisbehaved):
        await keys.verify(signed(OURS))


async def test_an_issuer_that_comes_back_is_believed_rather_than_the_kept_keys(
    clock: FakeClock, kept: KeptKeys
) -> None:
    """It is asked every minute, and nobody waits for that."""
    await heard(clock, kept, OURS)
    published = dark()
    keys = keys_of(published, clock, kept)
    for _ in range(5):
        await keys.verify(signed())
        await turns()
    assert published.fetches == 1
    published.failure, published.keys = None, [NEXT.as_dict(private=False)]
    clock.advance(REFETCH_SECONDS)
    await keys.verify(signed())
    await turns()
    assert published.fetches == 2
    with pytest.raises(IssuerMisbehaved):
        await keys.verify(signed())


async def test_an_issuer_that_answers_is_not_second_to_what_was_kept(
    clock: FakeClock, kept: KeptKeys
) -> None:
    """Nobody reads the record then."""
    await heard(clock, kept, OURS)
    with pytest.raises(IssuerMisbehaved):
        await keys_of(Published(NEXT), clock, kept).verify(signed())


@pytest.mark.parametrize("text", ["", "[]", '{"keys": 5}', '{"keys": []}'])
async def test_a_kept_set_that_cannot_be_read_is_no_set(clock: FakeClock, text: str) -> None:
    """The issuer is away, and that is said."""
    records = MemoryRecords[PublishedKeys](clock)
    await records.put("keys", PublishedKeys(URL, text), 0)
    with pytest.raises(IssuerUnreachable):
        await keys_of(dark(), clock, KeptKeys(records, "keys", URL)).verify(signed())
