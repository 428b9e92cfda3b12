"""A transit engine's odd answers are told, and never taken for signatures."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from credbroker.domain.errors import StoreMisconfigured, StoreUnavailable
from credbroker.ports import HttpAnswer
from credbroker.stores.transit import NAME_PREFIX, TransitKeys
from credbroker.stores.vault import VaultClient
from tests.fakes.entropy import FakeEntropy


class Engine:
    """Answers what a test says, and remembers what was sent."""

    def __init__(self, *, post: object = None, get: object = None) -> None:
        self.answers = {"POST": post, "GET": get}
        self.sent: list[tuple[str, Mapping[str, Any]]] = []

    async def post(self, path: str, body: Mapping[str, Any]) -> HttpAnswer:
        self.sent.append((path, body))
        return HttpAnswer(200, {}, json.dumps(self.answers["POST"]).encode())

    async def get(self, path: str) -> HttpAnswer | None:
        found = self.answers["GET"]
        return None if found is None else HttpAnswer(200, {}, json.dumps(found).encode())


def keys(engine: Engine) -> TransitKeys:
    """Return the keys of the engine at `transit/`."""
    return TransitKeys(cast("VaultClient", engine), "transit", FakeEntropy())


async def test_a_key_is_made_under_a_name_of_its_own_and_not_to_be_exported() -> None:
    """The name says nothing; the public half comes back."""
    engine = Engine(post={}, get={"data": {"keys": {"1": {"public_key": "PEM"}}}})
    made = keys(engine)
    (first, public), (second, _) = await made.make("RS256"), await made.make("ES256")
    assert public == "PEM"
    assert first != second
    assert first.startswith(NAME_PREFIX)
    (path, body), (_, other) = engine.sent
    assert path == f"transit/keys/{first}"
    assert body == {"type": "rsa-2048", "exportable": False, "allow_plaintext_backup": False}
    assert other["type"] == "ecdsa-p256"


@pytest.mark.parametrize(
    "answer", [None, {}, {"data": None}, {"data": {"keys": {}}}, {"data": {"keys": {"1": "x"}}}]
)
async def test_a_key_without_a_public_half_is_no_key(answer: object) -> None:
    """Nothing could be verified that it signs."""
    with pytest.raises(StoreMisconfigured, match="transit"):
        await keys(Engine(post={}, get=answer)).make("ES256")


async def test_a_batch_goes_out_as_one_request() -> None:
    """And comes back in its order; signatures are in base64url without padding."""
    raw = [bytes([n]) * 64 for n in (250, 251)]
    texts = [base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in raw]
    results = [{"signature": f"vault:v1:{one}"} for one in texts]
    engine = Engine(post={"data": {"batch_results": results}})
    assert await keys(engine).sign("credbroker-1", [b"a", b"b"]) == raw
    [(path, body)] = engine.sent
    assert path == "transit/sign/credbroker-1"
    assert [base64.b64decode(one["input"]) for one in body["batch_input"]] == [b"a", b"b"]
    assert (body["marshaling_algorithm"], body["key_version"]) == ("jws", 1)


@pytest.mark.parametrize(
    "results",
    [None, [], [{}], [{"error": "no"}], [{"signature": ""}], [{"signature": "vault:v1:"}],
     [{"signature": "vault:v1:*"}], [{"signature": "vault:v1:A"}], ["text"],
     [{"signature": "vault:v2:AAAA"}], [{"signature": "vault:v11:AAAA"}],
     [{"signature": "vault:v1:AAAA"}] * 2],
)  # fmt: skip
async def test_an_answer_without_every_signature_is_none(results: object) -> None:
    """A token must not go out with another's."""
    with pytest.raises(StoreUnavailable):
        await keys(Engine(post={"data": {"batch_results": results}})).sign("one", [b"a"])
