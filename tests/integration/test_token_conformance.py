"""What policy allows and signing signs is a token that every neighbour takes, as far as a token can tell.

Each reader below is a neighbour's own rule, as it was seen to be applied or read in its source. dCache
and StoRM have no other test here: no package of either is to be had.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jws

from credbroker.broker.issuing.signing import Signing, Statement
from credbroker.domain.errors import ScopeRefused
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Asked, Entitled, decide, read_scopes
from credbroker.domain.scopes import ScopeSet
from tests.fakes.clock import FakeClock
from tests.fakes.signing import URL, SigningWorld

CE, STORAGE, SECOND = "https://ce.example.org:8443", "https://se.example.org", "https://two.example"
ENTITLED = Entitled(
    scopes=ScopeSet.of(
        [
            "storage.read:/",
            "storage.create:/",
            "storage.modify:/",
            "storage.stage:/",
            "compute.read",
            "compute.create",
            "fts",
        ]
    ),
    audiences=(CE, STORAGE, SECOND),
)
# Storage that takes a scope's path as a pattern, or compares text, sees these as they stand.
PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


@dataclass(frozen=True, slots=True)
class Shown:
    """A token as its reader has it: decoded, at the moment when it came."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    now: float

    def has(self, *names: str) -> bool:
        """Tell whether these claims are there."""
        return all(name in self.claims for name in names)

    def whole(self, *names: str) -> bool:
        """Tell whether these claims are there and integers."""
        return all(type(self.claims.get(name)) is int for name in names)

    def names(self, audience: str) -> bool:
        """Tell whether a claim `aud`, a text or a list of texts, has this one."""
        named = self.claims.get("aud")
        return named == audience if isinstance(named, str) else audience in list(named or ())

    @property
    def is_valid_now(self) -> bool:
        """Tell whether it is between `nbf` and `exp`, with no allowance for clocks."""
        return bool(self.claims.get("nbf", 0) <= self.now < self.claims.get("exp", 0))

    @property
    def paths(self) -> list[str]:
        """The paths in its scope."""
        items = str(self.claims.get("scope", "")).split(" ")
        return [item.partition(":")[2] for item in items if item.startswith("storage.")]


def _libscitokens(token: Shown) -> bool:
    return (
        "kid" in token.header
        and token.claims.get("wlcg.ver") == "1.0"
        and token.whole("exp", "nbf", "iat")
        and token.has("sub", "aud")
        and isinstance(token.claims.get("scope", ""), str)
        and token.claims.get("iss") == URL
        and all(path.startswith("/") and ".." not in path for path in token.paths)
        and token.is_valid_now
    )


def _storm(token: Shown) -> bool:
    return (
        token.header["alg"] == "RS256"
        and token.has("nbf", "jti", "exp", "iss")
        and token.claims.get("wlcg.ver") == "1.0"
        and token.claims["iss"] == URL
        and set("".join(token.paths)) <= PLAIN
    )


def _dcache(token: Shown) -> bool:
    return token.header["alg"] == "RS256" and token.has("sub", "jti") and token.is_valid_now


def _arc(token: Shown) -> bool:
    audience = token.claims["aud"]
    first = audience if isinstance(audience, str) else audience[0]
    return token.header["alg"] == "RS256" and token.is_valid_now and " " not in first


def _fts(token: Shown) -> bool:
    audience = token.claims["aud"]
    joined = audience if isinstance(audience, str) else " ".join(audience)
    return (
        token.has("iss", "nbf", "exp", "scope", "aud")
        and str(token.claims["iss"]).endswith("/")
        and max(len(joined), len(token.claims["scope"])) <= 1024
    )


def _panda(token: Shown) -> bool:
    is_text = isinstance(token.claims["aud"], str) and " " not in token.claims["aud"]
    return token.header["alg"] == "RS256" and is_text and token.has("client_id")


READERS: dict[str, Callable[[Shown], bool]] = {
    "XRootD and HTCondor": _libscitokens,
    "StoRM": _storm,
    "dCache": _dcache,
    "ARC": _arc,
    "FTS": _fts,
    "PanDA": _panda,
}


@pytest.fixture(scope="module")
def signing() -> Signing:
    """A community that signs as one does by default."""
    return asyncio.run(SigningWorld(algorithms=("RS256",)).signing())


async def signed(signing: Signing, scope: str, audiences: tuple[str, ...]) -> Shown:
    """Return a token for a request that policy allows; its signature is checked on the way."""
    asked = Asked(read_scopes(scope), audiences)
    decided = decide(ENTITLED, asked, LifetimeTable.of({}))
    right = decided.right
    statement = Statement("rucio", "rucio", right.scopes, right.audiences, decided.seconds)
    token = await signing.sign(statement)
    keys = jwk.KeySet.import_key_set(json.loads(signing.jwks()))
    opened = jws.deserialize_compact(token.value.reveal(), keys, ["RS256"])
    return Shown(opened.headers(), json.loads(opened.payload), FakeClock().now().timestamp())


def refusing(token: Shown) -> list[str]:
    """Return the readers that do not take it."""
    return [name for name, takes in READERS.items() if not takes(token)]


SEGMENTS = st.text(sorted(PLAIN - {"/"}), min_size=1, max_size=8).filter(
    lambda one: one.strip(".") != ""
)
SCOPES = st.lists(
    st.one_of(
        st.sampled_from(["compute.read", "compute.create", "fts"]),
        st.builds(
            "storage.{}:/{}".format,
            st.sampled_from(["read", "create", "modify"]),
            st.lists(SEGMENTS, max_size=4).map("/".join),
        ),
    ),
    min_size=1,
    max_size=5,
    unique=True,
).map(" ".join)


@pytest.mark.slow
@given(scope=SCOPES, audience=st.sampled_from([CE, STORAGE, SECOND]))
async def test_everybody_takes_what_is_signed_for_one(
    signing: Signing, scope: str, audience: str
) -> None:
    """Whatever is asked for, as long as policy allows it."""
    token = await signed(signing, scope, (audience,))
    assert refusing(token) == []
    assert token.claims["aud"] == audience
    assert sorted(token.claims["scope"].split(" ")) == sorted(scope.split(" "))


async def test_for_several_there_is_a_list_which_all_but_panda_take(signing: Signing) -> None:
    """PanDA fails on any list; ARC looks at the first, so the order is the caller's."""
    token = await signed(signing, "compute.create", (CE, STORAGE))
    assert token.claims["aud"] == [CE, STORAGE]
    assert refusing(token) == ["PanDA"]


async def test_a_token_is_good_at_once_where_clocks_lag_by_a_minute(signing: Signing) -> None:
    """XRootD, ARC and dCache allow for no difference at all."""
    token = await signed(signing, "storage.read:/data", (STORAGE,))
    assert token.claims["nbf"] == token.claims["iat"] - 60
    assert refusing(Shown(token.header, token.claims, token.now - 60)) == []
    late = refusing(Shown(token.header, token.claims, token.now - 61))
    assert late == ["XRootD and HTCondor", "dCache", "ARC"]


async def test_no_two_tokens_have_the_same_id(signing: Signing) -> None:
    """DCache may refuse the second one."""
    one, two = [await signed(signing, "storage.read:/data", (STORAGE,)) for _ in range(2)]
    assert one.claims["jti"] != two.claims["jti"]


@pytest.mark.parametrize(
    "path", ["", "data", "/data/../other", "/data%2F..", "/a+b", "/a(b)", "/a*", "/a[0]", "/a%20b"]
)
async def test_no_path_is_signed_that_some_storage_reads_otherwise(
    signing: Signing, path: str
) -> None:
    """Refused before signing, by whatever notices first."""
    with pytest.raises(ScopeRefused):
        await signed(signing, f"storage.read:{path}", (STORAGE,))


@pytest.mark.parametrize(
    ("changed", "refused_by"),
    [
        ({"exp": 4102444800.5}, ["XRootD and HTCondor"]),
        ({"wlcg.ver": "1.3"}, ["XRootD and HTCondor", "StoRM"]),
        ({"aud": f"{STORAGE} {CE}"}, ["ARC", "PanDA"]),
        ({"scope": ["storage.read:/"]}, ["XRootD and HTCondor"]),
        ({"iss": URL.rstrip("/")}, ["XRootD and HTCondor", "StoRM", "FTS"]),
        ({"scope": "storage.read:/a/../b"}, ["XRootD and HTCondor"]),
        ({"scope": "storage.read:/a+b"}, ["StoRM"]),
    ],
)
async def test_each_reader_notices_what_it_is_known_to_refuse(
    signing: Signing, changed: dict[str, object], refused_by: list[str]
) -> None:
    """So that a token which all of them take is one."""
    good = await signed(signing, "storage.read:/data", (STORAGE,))
    assert refusing(Shown(good.header, {**good.claims, **changed}, good.now)) == refused_by


@pytest.mark.parametrize(
    ("missing", "refused_by"),
    [
        ("nbf", ["XRootD and HTCondor", "StoRM", "FTS"]),
        ("jti", ["StoRM", "dCache"]),
        ("client_id", ["PanDA"]),
    ],
)
async def test_each_reader_misses_what_it_needs(
    signing: Signing, missing: str, refused_by: list[str]
) -> None:
    """The claims that only some of them look for."""
    good = await signed(signing, "storage.read:/data", (STORAGE,))
    rest = {name: claim for name, claim in good.claims.items() if name != missing}
    assert refusing(Shown(good.header, rest, good.now)) == refused_by


@pytest.mark.slow
async def test_es256_is_for_those_who_are_said_to_know_it() -> None:
    """By audience; whoever is not named gets RS256."""
    world = SigningWorld(algorithms=("RS256", "ES256"), particular={STORAGE: "ES256"})
    both = await world.signing()
    algorithms = {}
    for audience in (STORAGE, CE):
        statement = Statement("r", "r", ScopeSet.parse("storage.read:/"), (audience,), 60)
        header = (await both.sign(statement)).value.reveal().partition(".")[0]
        algorithms[audience] = json.loads(base64.urlsafe_b64decode(header + "=="))["alg"]
    assert algorithms == {STORAGE: "ES256", CE: "RS256"}
