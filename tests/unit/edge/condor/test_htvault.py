"""A real HTVault, asked as HTCondor's own credmon asks it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from credbroker.client.http11 import Answer, Request
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    IssuerFailed,
    IssuerMisbehaved,
    NotAllowed,
)
from credbroker.domain.secret import Secret
from credbroker.edge.condor.htvault import HtvaultAsker
from credbroker.edge.orders import Fresh, Order, Place
from tests.fakes.broker import access_token
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy


@dataclass
class Vault:
    """Answers by what the vault token says."""

    clock: FakeClock = field(default_factory=FakeClock)
    asked: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        wish = request.headers["X-Vault-Token"]
        if wish == "dead":
            raise BrokerUnreachable("It cannot be reached.")
        if wish.isdigit():
            return Answer(int(wish), {}, b'{"errors": ["permission denied"]}')
        token = access_token(self.clock.now(), seconds=-1 if wish == "old" else 3600)
        data = {} if wish == "empty" else {"access_token": token.reveal()}
        return Answer(200, {}, json.dumps({"data": data}).encode())


def order(token: str, path: str = "/v1/secret/oauth/creds/i/u:r", **more: Any) -> Order:
    """Return an order that shows this vault token."""
    secret = Secret("vault token", token)
    return Order(token, Place(Path("/f")), "vault+x", secret, path_on_server=path, **more)


def asker(vault: Vault, fraction: float = 0.0) -> HtvaultAsker:
    """Return the way to it."""
    return HtvaultAsker(vault, vault.clock, FakeEntropy(fraction))


async def test_a_token_is_asked_for_as_the_stock_credmon_does() -> None:
    """One GET, with the narrowing in the query; the audience's name depends on the path."""
    vault = Vault()
    wanted: dict[str, Any] = {
        "scopes": ("a", "b"),
        "audiences": ("https://x",),
        "minimum_seconds": 2400,
    }
    (fresh,) = await asker(vault).ask([order("hvs.1", **wanted)])
    await asker(vault).ask([order("hvs.1", path="/v1/secret/oauth/sts/i/u:r", **wanted)])
    assert isinstance(fresh, Fresh)
    stored, exchanged = (parse_qs(urlsplit(one.target).query) for one in vault.asked)
    assert stored == {"minimum_seconds": ["2400"], "scopes": ["a,b"], "audience": ["https://x"]}
    assert exchanged["audiences"] == ["https://x"]
    assert urlsplit(vault.asked[0].target).path == "/v1/secret/oauth/creds/i/u:r"


@pytest.mark.parametrize(("fraction", "seconds"), [(0.0, 1800), (0.9999, 2400)])
async def test_a_token_is_renewed_between_a_half_and_two_thirds_of_its_life(
    fraction: float, seconds: int
) -> None:
    """Spread by chance, so that what came together does not go together."""
    (fresh,) = await asker(Vault(), fraction).ask([order("hvs.1")])
    assert isinstance(fresh, Fresh)
    assert fresh.renew_seconds == pytest.approx(seconds, rel=0.001)


async def test_each_order_has_its_own_answer() -> None:
    """A refusal, a server in trouble, an empty answer and an old token are errors of one each."""
    answers = await asker(Vault()).ask(
        [order(one) for one in ("hvs.1", "403", "404", "500", "empty", "old", "dead")]
    )
    kinds = [type(one) for one in answers]
    assert kinds == [
        Fresh, NotAllowed, NotAllowed, IssuerFailed,
        IssuerMisbehaved, IssuerMisbehaved, BrokerUnreachable,
    ]  # fmt: skip


async def test_a_server_that_nobody_reaches_is_everybodys_error() -> None:
    """Then the engine spares the server."""
    with pytest.raises(CredbrokerError, match="cannot be reached"):
        await asker(Vault()).ask([order("dead"), order("dead")])
    for status in ("429", "473", "502", "503"):
        with pytest.raises(CredbrokerError, match=f"status {status}"):
            await asker(Vault()).ask([order(status)])


async def test_a_failure_at_one_login_is_not_the_servers_even_if_asked_for_alone() -> None:
    """HTVault says 500 for a login whose issuer fails; the server is well, and asked by all others."""
    for status in ("500", "empty", "old"):
        (answer,) = await asker(Vault()).ask([order(status)])
        assert isinstance(answer, CredbrokerError)
