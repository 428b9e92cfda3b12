"""An operator's token is used as it is: no login, no renewal, and a refusal in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.domain.errors import StoreMisconfigured
from credbroker.domain.secret import Secret
from credbroker.ports import HttpAnswer
from credbroker.stores.operator_vault import OperatorVault
from credbroker.stores.vault_logins import AppRoleLogin
from tests.fakes.entropy import FakeEntropy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fakes.clock import FakeClock


class Door:
    """Answers in turn, and keeps what was asked with which token."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str | None]] = []

    async def get(self, url: str, **options: Any) -> HttpAnswer:
        return self._answer("GET", url, options["headers"])

    async def post(self, url: str, body: bytes, **options: Any) -> HttpAnswer:
        return self._answer("POST", url, options["headers"])

    def _answer(self, method: str, url: str, headers: Mapping[str, str]) -> HttpAnswer:
        self.asked.append((method, url.partition("/v1/")[2], headers.get("X-Vault-Token")))
        status, content = self.answers.pop(0)
        return HttpAnswer(status, {}, json.dumps(content).encode())


def opened(door: Door, clock: FakeClock) -> OperatorVault:
    """Return a client with an operator's token."""
    token = Secret("token", "the-operators")
    address = ["https://vault.example.org"]
    return OperatorVault(door, address, token, clock=clock, entropy=FakeEntropy())  # type: ignore[arg-type]  # no more of a door is used


async def test_what_is_there_is_returned_without_its_wrapping(clock: FakeClock) -> None:
    """And nothing is None."""
    door = Door((200, {"data": {"a": 1}}), (404, {"errors": []}))
    vault = opened(door, clock)
    assert await vault.content("sys/mounts") == {"a": 1}
    assert await vault.content("sys/policies/acl/none") is None
    assert door.asked[0] == ("GET", "sys/mounts", "the-operators")


async def test_a_denied_request_is_refused_without_a_login(clock: FakeClock) -> None:
    """There is none; whoever brought the token must bring another one."""
    door = Door((403, {"errors": ["permission denied"]}))
    with pytest.raises(StoreMisconfigured, match="does not accept the token"):
        await opened(door, clock).content("sys/mounts")
    assert len(door.asked) == 1


async def test_a_login_that_is_tried_out_is_ended_at_once(clock: FakeClock) -> None:
    """With its own token, not with the operator's."""
    login = AppRoleLogin("approle", lambda: Secret("r", "one"), lambda: Secret("s", "two"))
    door = Door((200, {"auth": {"client_token": "the-brokers"}}), (204, None), (400, {}))
    vault = opened(door, clock)
    assert await vault.opens(login)
    assert door.asked == [
        ("POST", "auth/approle/login", None),
        ("POST", "auth/token/revoke-self", "the-brokers"),
    ]
    assert not await vault.opens(login)
