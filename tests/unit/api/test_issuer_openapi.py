"""The document describes every endpoint of every community, and is served where it says."""

from __future__ import annotations

import pytest
from openapi_spec_validator import validate

from credbroker.api.issuer_openapi import ISSUER_OPENAPI, issuer_document
from tests.fakes.granting import URL, FakeCommunity
from tests.unit.api.oauth_world import BASIC, served

OTHER = "https://other.example.org/"


def test_the_document_is_valid() -> None:
    """OpenAPI 3.1, with ids that differ between communities."""
    document = issuer_document([URL, "https://tokens.example.org:8200/vo/ops/", OTHER])
    validate(document)
    host = "https://tokens.example.org:8200"
    validate(issuer_document([f"{host}/vo/ops/", f"{host}/vo_ops/", f"{host}/vo.ops/"]))
    assert document["servers"] == [
        {"url": "https://tokens.example.org:8200"}, {"url": "https://other.example.org"},
    ]  # fmt: skip


@pytest.mark.parametrize("community", [URL, OTHER])
async def test_what_it_describes_is_there(community: str) -> None:
    """Each path, by its method and no other."""
    async with served(FakeCommunity(community).as_issuer()) as asker:
        document = (await asker.ask(ISSUER_OPENAPI)).json
        assert len(document["paths"]) == 6
        for path, operations in document["paths"].items():
            for method in operations:
                assert (await asker.ask(path, method.upper(), BASIC)).status in {200, 400}
            assert (await asker.ask(path, "DELETE", BASIC)).status == 405


async def test_a_broker_that_is_no_issuer_describes_none() -> None:
    """There is nothing at the address."""
    async with served() as asker:
        assert (await asker.ask(ISSUER_OPENAPI)).status == 404
