"""The calls that programs make, and what loading them costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import credbroker.client
from credbroker.client import fresh, fresh_token, fresh_token_async
from credbroker.client.holding import Wish
from credbroker.domain.errors import Malformed
from tests.unit.client.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """A world where this program's tokens come from the test."""
    service = Service()
    monkeypatch.setattr(fresh, "holding", lambda: service.holding)
    return service


async def test_both_calls_share_what_is_held(service: Service) -> None:
    """The answer shows no secret by itself."""
    token = fresh_token(scopes=["storage.read:/"])
    assert await fresh_token_async(scopes="storage.read:/") is token
    assert token.value.reveal().count(".") == 2
    assert token.value.reveal() not in repr(token)


async def test_a_token_that_a_service_refused_is_exchanged_for_another(service: Service) -> None:
    """By either call."""
    first = fresh_token()
    service.grow_old()
    other = fresh_token(instead_of=first)
    assert other.jti == "jti-2"
    service.grow_old()
    assert (await fresh_token_async(instead_of=other)).jti == "jti-3"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, Wish(minimum_seconds=60)),
        (
            {"issuer": "cms", "role": "production", "minimum": 600},
            Wish("cms", "production", minimum_seconds=600),
        ),
        (
            {"scopes": "storage.read:/a storage.stage:/b", "audiences": ["https://a", "https://b"]},
            Wish(
                scopes=("storage.read:/a", "storage.stage:/b"),
                audiences=("https://a", "https://b"),
                minimum_seconds=60,
            ),
        ),
        ({"lease_file": Path("job.json"), "minimum": -1}, Wish(lease_file="job.json")),
    ],
)
def test_what_is_said_is_what_is_asked_for(
    service: Service, said: Mapping[str, Any], meant: Wish
) -> None:
    """Names come one by one, or in one text as a token has them."""
    fresh_token(**said)
    assert service.taken == [meant]


@pytest.mark.parametrize("said", [{"scopes": []}, {"audiences": " "}, {"scopes": 'a"b'}])
def test_what_nobody_can_be_asked_for_is_refused(service: Service, said: Mapping[str, Any]) -> None:
    """An empty list means neither all nor nothing."""
    with pytest.raises(Malformed):
        fresh_token(**said)
    assert not service.taken


def test_a_forked_child_holds_nothing_of_its_parents() -> None:
    """It could otherwise wait for ever for a request that the parent sent."""
    held = fresh.holding()
    assert fresh.holding() is held
    assert fresh._holding_of(os.getpid() + 1) is not held


def test_loading_the_room_loads_nothing_else() -> None:
    """Commands pass by here; other people's libraries are loaded by who asks for them."""
    tell = (
        "import sys, credbroker.client; few = sorted(one for one in sys.modules if 'credbroker' in one);"
        "credbroker.client.fresh_token; print(few, {'requests', 'httpx', 'aiohttp', 'IPython'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True)
    assert told.stdout == "['credbroker', 'credbroker.client'] set()\n"


def test_the_room_has_no_other_names() -> None:
    """What is not there is not there."""
    with pytest.raises(AttributeError, match="fresh_tokens"):
        credbroker.client.fresh_tokens  # type: ignore[attr-defined] # noqa: B018 - that is the point
