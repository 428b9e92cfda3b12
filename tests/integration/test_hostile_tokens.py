"""No token that is not ours is taken for one, at any endpoint, and nothing of it comes back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from credbroker.wire.exchange import ACCESS_TOKEN_TYPE, EXCHANGE_GRANT
from tests.integration.issuer_world import INTROSPECT, REVOKE, Issuer, issuer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MARK = "root-of-everything"
ELSEWHERE = "https://127.0.0.1:1/jwks"


def coded(said: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(said).rstrip(b"=").decode()


def read(one: str) -> Any:
    """Return what a part of a token says."""
    return json.loads(base64.urlsafe_b64decode(one + "=="))


class Forger:
    """Has one good token of the issuer's, its public keys, and a key of its own."""

    def __init__(self, good: str, jwks: bytes) -> None:
        self.good = good
        self.head, self.body, self.signature = good.split(".")
        self.header: dict[str, Any] = read(self.head)
        self.claims: dict[str, Any] = read(self.body) | {"sub": MARK}
        self.jwk = json.loads(jwks)["keys"][0]
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.own_jwk = {
            **self.jwk, "x": coded(numbers.x.to_bytes(32)), "y": coded(numbers.y.to_bytes(32)),
        }  # fmt: skip

    def text(self, claims: str | None = None, **header: Any) -> str:
        """Return what is to be signed: the good header with changes (None leaves a field out)."""
        changed = {**self.header, **header}
        kept = {name: value for name, value in changed.items() if value is not None}
        said = claims if claims is not None else json.dumps(self.claims)
        return f"{coded(json.dumps(kept).encode())}.{coded(said.encode())}"

    def own(self, text: str) -> str:
        """Return a token that the forger's own key signed."""
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{coded(r.to_bytes(32) + s.to_bytes(32))}"

    def shared(self, secret: bytes) -> str:
        """Return a token whose secret is what everybody can read."""
        text = self.text(alg="HS256")
        return f"{text}.{coded(hmac.digest(secret, text.encode(), hashlib.sha256))}"

    def pem(self) -> bytes:
        """Return the issuer's public key, written as some libraries would take it."""
        x, y = (int.from_bytes(base64.urlsafe_b64decode(self.jwk[one] + "=")) for one in "xy")
        return (
            ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def with_claims(self, more: str) -> str:
        """Return a token of the forger's own key, whose claims end with this text."""
        return self.own(self.text(json.dumps(self.claims)[:-1] + f", {more}}}"))


FORGERIES: dict[str, Callable[[Forger], str]] = {
    "no algorithm": lambda one: one.text(alg="none") + ".",
    "no algorithm, but a signature": lambda one: f"{one.text(alg='None')}.{one.signature}",
    "no algorithm named": lambda one: one.own(one.text(alg=None)),
    "the public key as a secret": lambda one: one.shared(one.pem()),
    "the public key as a secret, as JSON": lambda one: one.shared(json.dumps(one.jwk).encode()),
    "an empty secret": lambda one: one.shared(b""),
    "another algorithm": lambda one: one.own(one.text(alg="RS256")),
    "own key under a good name": lambda one: one.own(one.text()),
    "own key under the good header": lambda one: one.own(f"{one.head}.{coded(json.dumps(one.claims).encode())}"),
    "an unknown key": lambda one: one.own(one.text(kid="another")),
    "no name of a key": lambda one: one.own(one.text(kid=None)),
    "a path as a key": lambda one: one.own(one.text(kid="../../../../dev/null")),
    "a list as a key": lambda one: one.own(one.text(kid=[one.header["kid"]])),
    "keys from elsewhere": lambda one: one.own(one.text(jku=ELSEWHERE)),
    "a certificate from elsewhere": lambda one: one.own(one.text(x5u=ELSEWHERE)),
    "a key in the header": lambda one: one.own(one.text(jwk=one.own_jwk)),
    "a certificate in the header": lambda one: one.own(one.text(x5c=["MIIB"])),
    "what must be understood": lambda one: f"{one.text(crit=['exp'], exp=1)}.{one.signature}",
    "claims as they are": lambda one: one.own(one.text(b64=False, crit=["b64"])),
    "another kind": lambda one: f"{one.text(typ='at+jwt')}.{one.signature}",
    "a good signature of other claims": lambda one: f"{one.text()}.{one.signature}",
    "the good header, other claims": lambda one: f"{one.head}.{one.text().split('.')[1]}.{one.signature}",
    "a signature of nothing": lambda one: f"{one.head}.{one.body}.{coded(bytes(64))}",
    "a signature too short": lambda one: one.good[:-6],
    "a signature too long": lambda one: f"{one.good}AAAA",
    "a signature with padding": lambda one: f"{one.good}==",
    "a signature with a stray bit": lambda one: one.good[:-1] + ("B" if one.good[-1] == "A" else "A"),
    "no signature": lambda one: f"{one.head}.{one.body}.",
    "two parts": lambda one: f"{one.head}.{one.body}",
    "four parts": lambda one: f"{one.good}.",
    "five parts": lambda one: f"{one.head}.a.b.c.d",
    "a claim twice": lambda one: one.with_claims('"sub": "rucio"'),
    "a fraction as a time": lambda one: one.with_claims('"exp": 1e10'),
    "no number as a time": lambda one: one.with_claims('"exp": NaN'),
    "more than any number": lambda one: one.with_claims('"exp": 1e999'),
    "a text as a time": lambda one: one.with_claims('"exp": "tomorrow"'),
    "an audience of objects": lambda one: one.with_claims('"aud": [{}]'),
    "depth": lambda one: one.own(one.text("[" * 20_000)),
    "depth in the header": lambda one: f"{coded(b'[' * 20_000)}.{one.body}.{one.signature}",
    "length": lambda one: one.own(one.text(f'{{"sub": "{MARK * 1500}"}}')),
    "no JSON": lambda one: one.own(one.text(f"<{MARK}>")),
    "no claims": lambda one: one.own(one.text("null")),
    "bytes that are no text": lambda one: f"{coded(bytes(range(256)))}.{one.body}.{one.signature}",
    "a space": lambda one: f" {one.good}",
    "a line": lambda one: f"{one.good}\n",
    "letters of another alphabet": lambda _: f"{MARK}.\N{CYRILLIC SMALL LETTER A}.\N{PILE OF POO}",
    "a zero byte": lambda one: f"{one.good}\0",
    "a refresh token made up": lambda _: f"{MARK}.1.{'A' * 43}",
    "a refresh token of a high generation": lambda _: f"{'A' * 43}.{'9' * 5000}.{'A' * 43}",
    "a generation of other digits": lambda _: f"{'A' * 43}.\N{ARABIC-INDIC DIGIT ONE}.{'A' * 43}",
    "nothing much": lambda _: MARK,
    "dots": lambda _: "..",
}  # fmt: skip


@pytest.fixture
async def there() -> AsyncIterator[Issuer]:
    """The issuer under attack."""
    async with issuer() as there:
        yield there


@pytest.fixture
async def forger(there: Issuer) -> Forger:
    """Whoever has seen one token and can read the keys."""
    return Forger(await there.subject(), there.replica.signing.jwks())


async def test_the_good_token_is_taken_everywhere(there: Issuer, forger: Forger) -> None:
    """Or what follows would prove nothing."""
    said = await there.post(INTROSPECT, token=forger.good)
    assert said.json["active"] is True
    said = await there.post(
        grant_type=EXCHANGE_GRANT, subject_token=forger.good, subject_token_type=ACCESS_TOKEN_TYPE
    )
    assert said.status == 200, said.json


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_no_forgery_is_taken_for_one_of_ours(
    there: Issuer, forger: Forger, forgery: str
) -> None:
    """As what is exchanged, as who acts, as what is refreshed, looked up or revoked."""
    forged = FORGERIES[forgery](forger)
    kind = {"subject_token_type": ACCESS_TOKEN_TYPE, "grant_type": EXCHANGE_GRANT}
    answers = [
        await there.post(subject_token=forged, **kind),
        await there.post(
            subject_token=forger.good,
            actor_token=forged,
            actor_token_type=ACCESS_TOKEN_TYPE,
            **kind,
        ),
        await there.post(grant_type="refresh_token", refresh_token=forged),
        await there.post(INTROSPECT, token=forged),
        await there.post(REVOKE, token=forged),
    ]
    assert [one.code for one in answers[:3]] == [
        (400, "invalid_request"), (400, "invalid_request"), (400, "invalid_grant"),
    ]  # fmt: skip
    assert answers[3].json == {"active": False}
    assert (answers[4].status, answers[4].body) == (200, b"")
    for one in answers:
        assert MARK.encode() not in one.body
        assert forged.encode() not in one.body
    trail = str(there.world.audit.lines) + str(there.asker.audit.lines)
    assert MARK not in trail
    assert "token_revoked" not in trail


async def test_a_token_that_is_over_is_over_everywhere(there: Issuer, forger: Forger) -> None:
    """To the second, without any grace."""
    there.world.clock.advance(forger.claims["exp"] - forger.claims["iat"])
    said = await there.post(
        grant_type=EXCHANGE_GRANT, subject_token=forger.good, subject_token_type=ACCESS_TOKEN_TYPE
    )
    assert said.code == (400, "invalid_request")
    assert (await there.post(INTROSPECT, token=forger.good)).json == {"active": False}
