"""Tokens have the one form that every neighbour accepts, and only such a token is known again."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet

from credbroker.broker.issuing.signing import AT_ONCE, Signing, Statement, algorithms
from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import (
    AudienceRefused,
    ClockOff,
    ScopeRefused,
    StoreUnavailable,
    TokenRefused,
)
from credbroker.domain.scopes import ScopeItem, ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import SETTLING_SECONDS
from credbroker.domain.tokens import AccessToken, LotToken
from credbroker.wire.jwt import peek, read_access_token
from tests.fakes.signing import DAY, URL, SigningWorld, have_withdrawn

STORAGE = "https://se.example.org"
READ = ScopeSet.parse("storage.read:/atlas/data/f1")
ASKED = Statement("rucio", "rucio", READ, (STORAGE,), 3600)


@pytest.fixture
def world() -> Iterator[SigningWorld]:
    """A store without keys."""
    made = SigningWorld()
    yield made
    made.keysmith.close()


@pytest.fixture
async def signing(world: SigningWorld) -> Signing:
    """A replica that signs by ES256."""
    return await world.signing()


def each(*statements: Statement) -> list[tuple[Statement, str]]:
    """Return what asks a batch for these, with the scopes that they have."""
    return [(one, str(one.scopes)) for one in statements]


def whole(token: LotToken) -> AccessToken:
    """Return all that a token of a lot says."""
    scopes = ScopeSet.parse(token.scope)
    return replace(token.lot, value=token.value, scopes=scopes, jti=token.jti)


def said(value: Secret) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims as they are written."""
    header, claims = (part(text) for text in value.reveal().split(".")[:2])
    return header, claims


def part(text: str) -> dict[str, Any]:
    """Read one part of a token."""
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return read


def written(content: object) -> str:
    """Write one part of a token."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# -- the one form ------------------------------------------------------------------------------


async def test_a_token_says_exactly_what_every_neighbour_accepts(
    world: SigningWorld, signing: Signing
) -> None:
    """Whole seconds, a back-dated `nbf`, version 1.0, single texts, `kid` and `jti`."""
    world.clock.advance(0.7)
    token = await signing.sign(ASKED)
    header, claims = said(token.value)
    now = int(world.clock.now().timestamp())
    assert header == {"alg": "ES256", "kid": token.key_id, "typ": "JWT"}
    assert claims == {
        "iss": URL, "sub": "rucio", "aud": STORAGE, "exp": now + 3600, "nbf": now - 60, "iat": now,
        "jti": token.jti, "client_id": "rucio", "wlcg.ver": "1.0",
        "scope": "storage.read:/atlas/data/f1",
    }  # fmt: skip
    assert all(type(claims[name]) is int for name in ("exp", "nbf", "iat"))
    assert len(base64.urlsafe_b64decode(token.jti)) == 18


async def test_several_audiences_are_a_list_and_several_scopes_one_text(signing: Signing) -> None:
    """As are groups a list; who acts is said where somebody does."""
    statement = ASKED._replace(
        scopes=ScopeSet.parse("storage.read:/a storage.stage:/b"),
        audiences=(STORAGE, "https://other.example.org"), groups=("/dteam", "/dteam/x"),
        actor={"sub": "fts", "act": {"sub": "rucio"}},
    )  # fmt: skip
    _, claims = said((await signing.sign(statement)).value)
    assert claims["aud"] == [STORAGE, "https://other.example.org"]
    assert claims["scope"] == "storage.read:/a storage.stage:/b"
    assert claims["wlcg.groups"] == ["/dteam", "/dteam/x"]
    assert claims["act"] == {"sub": "fts", "act": {"sub": "rucio"}}


async def test_what_is_returned_is_what_a_reader_of_the_token_finds(
    world: SigningWorld, signing: Signing
) -> None:
    """Though it is not made by reading."""
    token = await signing.sign(ASKED._replace(groups=("/dteam",)))
    assert token == read_access_token(token.value, world.clock.now())


async def test_a_library_that_has_only_the_key_set_verifies_it(world: SigningWorld) -> None:
    """By each of the algorithms that the audiences want."""
    world.algorithms, world.particular = ("RS256", "ES256"), {"https://es": "ES256"}
    signing = await world.signing()
    keys = KeySet.import_key_set(json.loads(signing.jwks()))
    for audience, algorithm in ((STORAGE, "RS256"), ("https://es", "ES256")):
        token = await signing.sign(ASKED._replace(audiences=(audience,)))
        found = jws.deserialize_compact(token.value.reveal(), keys, algorithms=[algorithm])
        assert found.headers()["alg"] == algorithm
        assert (await signing.verify(token.value)).token.jti == token.jti


def test_an_algorithm_is_chosen_by_what_all_audiences_want() -> None:
    """One that differs makes it the community's own."""
    choose = algorithms("RS256", {"a": "ES256", "b": "ES256", "c": "RS256"})
    assert [choose(one) for one in (["a"], ["a", "b"], ["a", "c"], ["a", "x"], ["x"])] == [
        "ES256", "ES256", "RS256", "RS256", "RS256",
    ]  # fmt: skip


async def test_a_token_ends_no_later_than_it_may(world: SigningWorld, signing: Signing) -> None:
    """By what it comes from, and by how long its key stays published; cut to whole seconds."""
    now = world.clock.now()
    soon = now + datetime.timedelta(seconds=90.9)
    assert (await signing.sign(ASKED._replace(not_after=soon))).seconds_left(now) == 90
    assert (await signing.sign(ASKED._replace(seconds=10**9))).seconds_left(now) == 7 * DAY
    for over in (now, now - datetime.timedelta(days=1)):
        with pytest.raises(TokenRefused):
            await signing.sign(ASKED._replace(not_after=over))


async def test_every_token_of_a_key_can_be_verified_to_its_end(world: SigningWorld) -> None:
    """The longest, signed in the last second of a key, by a replica that knows no successor."""
    signing = await world.signing()
    world.clock.advance(179 * DAY)
    other = await world.signing()  # makes the successor
    world.clock.advance(DAY + SETTLING_SECONDS - 1)
    last = await signing.sign(ASKED._replace(seconds=int(7 * DAY)))
    world.clock.advance(1)
    assert (await other.sign(ASKED)).key_id != last.key_id
    world.clock.advance(7 * DAY - 2)
    assert (await other.verify(last.value)).token.jti == last.jti
    assert (await signing.verify(last.value)).token.jti == last.jti


# -- what is not signed ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["storage.read", "storage.modify", "storage.stage"])
async def test_a_storage_scope_without_a_path_is_not_signed(signing: Signing, name: str) -> None:
    """Some storage takes it for everything."""
    with pytest.raises(ScopeRefused, match="without a path"):
        await signing.sign(ASKED._replace(scopes=ScopeSet((ScopeItem(name),))))
    for scope in (name, f"{name}:", f"storage.read:/d {name}", f"{name} openid"):
        with pytest.raises(ScopeRefused, match="without a path"):
            await signing.sign_many([(ASKED, str(READ)), (ASKED, scope)])


@pytest.mark.parametrize("audiences", [(), ("",), (STORAGE, "")])
async def test_a_token_for_nobody_in_particular_is_not_signed(
    signing: Signing, audiences: tuple[str, ...]
) -> None:
    """Nor is the wildcard put in its place; it is signed only where it is named."""
    with pytest.raises(AudienceRefused):
        await signing.sign(ASKED._replace(audiences=audiences))
    token = await signing.sign(ASKED._replace(audiences=(ANY_AUDIENCE,)))
    assert token.audiences == (ANY_AUDIENCE,)


@pytest.mark.parametrize("subject", ["", "a" * 256, "a" * 10_000, "ad\u00e4", "ada\ud800"])
async def test_a_subject_that_no_service_takes_is_not_signed(
    signing: Signing, subject: str
) -> None:
    """WLCG token profile: 255 ASCII characters at the most. Nothing of it is repeated."""
    statement = ASKED._replace(subject=subject)
    with pytest.raises(TokenRefused, match="255") as error:
        await signing.sign(statement)
    assert not subject or subject not in error.value.sentence + error.value.remedy
    with pytest.raises(TokenRefused):
        await signing.sign_many(each(ASKED, statement))
    longest = await signing.sign(ASKED._replace(subject="a" * 255))
    assert said(longest.value)[1]["sub"] == "a" * 255


async def test_nothing_is_signed_while_revocations_are_not_known(
    world: SigningWorld, signing: Signing
) -> None:
    """They are asked for once more; if the store does not tell, nobody gets a token."""
    world.marks.is_fresh, world.marks.error = False, StoreUnavailable("Away.")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await signing.sign(ASKED)
    with pytest.raises(StoreUnavailable):
        await signing.sign_many(each(ASKED))
    world.marks.error = None
    await signing.sign(ASKED)
    assert world.marks.asked == 4


async def test_nothing_is_signed_or_believed_by_a_clock_that_is_off(world: SigningWorld) -> None:
    """Its tokens would be over, or not valid yet, elsewhere."""

    def off() -> None:
        raise ClockOff("This clock is off.")

    good = await world.signing()
    token = await good.sign(ASKED)
    means = replace(world.means, check_clock=off)
    bad = Signing(URL, good._keyring, world.marks, means, algorithms("ES256", {}))
    with pytest.raises(ClockOff):
        await bad.sign(ASKED)
    with pytest.raises(ClockOff):
        await bad.verify(token.value)


# -- batches -----------------------------------------------------------------------------------


async def test_a_batch_is_answered_in_its_order_whatever_signs_each(world: SigningWorld) -> None:
    """Each token its own `jti`, each by the algorithm of its audience."""
    world.algorithms, world.particular = ("ES256", "RS256"), {"https://rs": "RS256"}
    signing = await world.signing()
    statements = [
        ASKED._replace(subject=f"file-{n}", audiences=("https://rs" if n % 50 == 7 else STORAGE,))
        for n in range(2 * AT_ONCE + 3)
    ]
    tokens = [whole(one) for one in await signing.sign_many(each(*statements))]
    assert [one.subject for one in tokens] == [one.subject for one in statements]
    assert len({one.jti for one in tokens}) == len(tokens)
    for one in tokens[:60]:
        algorithm = "RS256" if one.audiences == ("https://rs",) else "ES256"
        assert said(one.value)[0]["alg"] == algorithm
        assert (await signing.verify(one.value)).token.subject == one.subject


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "ada"},
        {"client_id": "fts"},
        {"scopes": ScopeSet.parse("storage.read:/atlas/data/f2")},
        {"scopes": ScopeSet()},
        {"audiences": ("https://other.example.org",)},
        {"audiences": (STORAGE, "https://other.example.org")},
        {"seconds": 60},
        {"groups": ("/dteam",)},
        {"actor": {"sub": "fts"}},
        {"not_after": datetime.datetime(2026, 6, 1, 12, 0, 5, tzinfo=datetime.UTC)},
    ],
)
async def test_what_tokens_of_a_batch_have_in_common_spoils_none_that_differs(
    world: SigningWorld, signing: Signing, other: dict[str, Any]
) -> None:
    """Each says what it would say by itself, but for its `jti`."""
    statements = [ASKED, ASKED._replace(**other), ASKED]
    tokens = await signing.sign_many(each(*statements))
    for many, statement in zip(tokens, statements, strict=True):
        alone = said((await (await world.signing()).sign(statement)).value)[1]
        assert said(many.value)[1] == {**alone, "jti": many.jti}
        assert whole(many) == read_access_token(many.value, world.clock.now())
        single = await signing.sign(statement)  # after others of this second
        assert said(single.value)[1] == {**alone, "jti": single.jti}
        assert single == read_access_token(single.value, world.clock.now())


async def test_a_token_of_the_next_second_says_when_it_is_from(
    world: SigningWorld, signing: Signing
) -> None:
    """What tokens of one second share ends with it."""
    first = await signing.sign(ASKED)
    world.clock.advance(1)
    second = await signing.sign(ASKED)
    assert first.jti != second.jti
    for one, later in ((first.issued_at, second.issued_at), (first.expires_at, second.expires_at)):
        assert later - one == datetime.timedelta(seconds=1)


async def test_an_empty_batch_is_no_fault(signing: Signing) -> None:
    """There is nothing to sign."""
    assert await signing.sign_many([]) == []


async def test_one_bad_statement_refuses_the_batch(signing: Signing) -> None:
    """Whoever calls has checked each before."""
    with pytest.raises(AudienceRefused):
        await signing.sign_many(each(ASKED, ASKED._replace(audiences=())))


# -- what is believed --------------------------------------------------------------------------


async def test_a_token_of_ours_is_known_again_with_who_it_was_for(signing: Signing) -> None:
    """Its client, and who acted."""
    token = await signing.sign(ASKED._replace(actor={"sub": "fts"}))
    found = await signing.verify(token.value)
    assert found.token == token
    assert (found.client_id, found.actor) == ("rucio", {"sub": "fts"})


async def test_an_expired_token_is_refused_without_grace(
    world: SigningWorld, signing: Signing
) -> None:
    """At `exp`, not after it."""
    token = await signing.sign(ASKED)
    world.clock.advance(3599)
    await signing.verify(token.value)
    world.clock.advance(1)
    with pytest.raises(TokenRefused, match="expired"):
        await signing.verify(token.value)


async def test_a_token_of_a_withdrawn_key_is_refused(world: SigningWorld) -> None:
    """From the reading on."""
    signing = await world.signing()
    token = await signing.sign(ASKED)
    (segment,) = await world.records.segments()
    found = world.records.newest(segment)
    gone = tuple(replace(one, withdrawn_at=world.clock.now()) for one in found.keys)
    await world.records.put(segment, replace(found, keys=gone), 1)
    other = await world.signing()
    assert signing.counts(token)
    assert not other.counts(token)
    with pytest.raises(TokenRefused):
        await other.verify(token.value)


async def test_a_token_that_was_verified_before_its_key_was_withdrawn_is_refused(
    signing: Signing,
) -> None:
    """What is remembered of it does not outlive its key; others are signed at once."""
    token = await signing.sign(ASKED)
    await signing.verify(token.value)
    await have_withdrawn(signing, token.key_id)
    with pytest.raises(TokenRefused):
        await signing.verify(token.value)
    again = await signing.sign(ASKED)
    assert (await signing.verify(again.value)).token.key_id != token.key_id


async def forged(world: SigningWorld, header: object, claims: object) -> Secret:
    """Return a token with these parts that the community's own key has signed."""
    keyring = world.keyring()
    await keyring.open()
    text = f"{written(header)}.{written(claims)}"
    [signature] = await keyring.signing("ES256").signer.sign([text.encode()])
    return Secret("access token", f"{text}.{written(signature)}")


async def refused(signing: Signing, value: Secret) -> None:
    """Hold that a token is refused, and nothing of it repeated."""
    with pytest.raises(TokenRefused) as error:
        await signing.verify(value)
    text = value.reveal()
    sentence = error.value.sentence + error.value.remedy
    assert not any(one and one in sentence for one in [text, *text.split(".")])
    assert "evil" not in sentence


async def test_the_forger_of_these_tests_can_make_a_good_one(
    world: SigningWorld, signing: Signing
) -> None:
    """Else what follows would prove nothing."""
    token = await signing.sign(ASKED)
    header, claims = token.value.reveal().split(".")[:2]
    raw = [base64.urlsafe_b64decode(one + "==") for one in (header, claims)]
    assert (await signing.verify(await forged(world, *raw))).token.jti == token.jti


@pytest.mark.parametrize(
    "changes",
    [{"alg": "none"}, {"alg": "HS256"}, {"alg": "RS256"}, {"kid": "evil"}, {"kid": None},
     {"jku": "https://evil.example/jwks"}, {"crit": ["exp"]}, {"x5u": "https://evil.example"},
     {"jwk": {"kty": "EC"}}, {"typ": "at+jwt"}, {"zip": "DEF"}],
)  # fmt: skip
async def test_a_header_that_is_not_written_here_is_refused(
    world: SigningWorld, signing: Signing, changes: dict[str, object]
) -> None:
    """Even above a signature of our own key."""
    header, claims = said((await signing.sign(ASKED)).value)
    await refused(signing, await forged(world, {**header, **changes}, claims))


async def test_no_signature_and_one_by_the_public_key_as_a_secret_are_refused(
    world: SigningWorld, signing: Signing
) -> None:
    """The two oldest tricks."""
    token = await signing.sign(ASKED)
    header, claims = token.value.reveal().split(".")[:2]
    none = {**said(token.value)[0], "alg": "none"}
    for text in (f"{written(none)}.{claims}.", f"{header}.{claims}.", f"{header}.{claims}"):
        await refused(signing, Secret("access token", text))
    jwk = KeySet.import_key_set(json.loads(signing.jwks())).keys[0]
    public: Any = jwk.public_key
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    confused = f"{written({**said(token.value)[0], 'alg': 'HS256'})}.{claims}"
    mac = hmac.HMAC(pem, hashes.SHA256())
    mac.update(confused.encode())
    await refused(signing, Secret("access token", f"{confused}.{written(mac.finalize())}"))


@pytest.mark.parametrize(
    "changes",
    [{"iss": URL[:-1]}, {"iss": "https://evil.example/"}, {"wlcg.ver": "2.0"}, {"exp": "evil"},
     {"exp": 10**30}, {"aud": 7}, {"sub": ""}, {"client_id": None}, {"jti": None},
     {"scope": ["evil"]}, {"scope": "storage.read"}, {"nbf": 4102444800}],
)  # fmt: skip
async def test_claims_that_are_not_as_we_write_them_are_refused(
    world: SigningWorld, signing: Signing, changes: dict[str, object]
) -> None:
    """A key of ours under them proves a fault of ours, and no right."""
    token = await signing.sign(ASKED)
    header = base64.urlsafe_b64decode(token.value.reveal().split(".")[0] + "==")
    await refused(signing, await forged(world, header, {**said(token.value)[1], **changes}))


@pytest.mark.parametrize(
    "claims",
    [b'{"sub":"evil","sub":"rucio"}', b"[" * 10_000, b"\xff\xfe", b"null", b'{"a":' * 3000,
     b'"' + b"x" * 20_000 + b'"'],
)  # fmt: skip
async def test_claims_that_cannot_be_read_are_refused(
    world: SigningWorld, signing: Signing, claims: bytes
) -> None:
    """Named twice, nested, huge, or no JSON."""
    token = await signing.sign(ASKED)
    header = base64.urlsafe_b64decode(token.value.reveal().split(".")[0] + "==")
    await refused(signing, await forged(world, header, claims))


@given(st.text(max_size=60))
async def test_any_text_is_refused_and_no_fault_of_ours(text: str) -> None:
    """Whatever somebody sends."""
    world = SigningWorld()
    signing = await world.signing()
    world.keysmith.close()
    with pytest.raises(TokenRefused):
        await signing.verify(Secret("access token", text))


async def test_a_changed_bit_anywhere_is_refused(signing: Signing) -> None:
    """In the header, the claims or the signature."""
    text = (await signing.sign(ASKED)).value.reveal()
    for at in range(0, len(text), 7):
        if text[at] == ".":
            continue
        other = "A" if text[at] != "A" else "B"
        await refused(signing, Secret("access token", text[:at] + other + text[at + 1 :]))


async def test_a_token_of_another_issuer_over_the_same_store_is_refused(
    world: SigningWorld, signing: Signing
) -> None:
    """Communities share no key."""
    other = SigningWorld(url="https://tokens.example.org:8200/ops/")
    token = await (await other.signing()).sign(ASKED)
    other.keysmith.close()
    assert peek(token.value)[1].text("iss") == other.url
    await refused(signing, token.value)
