"""Logins without a person: what is shown to the server, and what happens if it opens nothing."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.htgettoken.options import parse
from credbroker.cli.htgettoken.silent import log_in_by_key, log_in_by_ticket, register_keys
from credbroker.client import tickets
from credbroker.client.vault_server import VaultServer
from credbroker.domain.errors import (
    BrokerUnreachable,
    LocalFileUnfit,
    LoginNeeded,
    NotAllowed,
    TooManyRequests,
)
from credbroker.domain.secret import Secret
from tests.fakes.htvault import NEW_VAULT_TOKEN, answer, login, refusal
from tests.fakes.running_agent import running_agent
from tests.fakes.ssh_agent import ed25519_key

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.client.http11 import Answer
    from tests.unit.cli.htgettoken.conftest import Person

LOGIN, NONCE = "/v1/auth/ssh/login", "/v1/auth/ssh/nonce"
TICKET = "/v1/auth/kerberos-cms_default/login"


def asked(person: Person) -> VaultServer:
    """Return the server as stand-ins ask it."""
    return VaultServer(person.server, lambda _: None)


def test_a_ticket_is_shown_as_negotiate_wants_it(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the service, whose name is the server's unless it is said; the body is empty."""
    hosts: list[str] = []

    def first_message(host: str) -> bytes:
        hosts.append(host)
        return b"ticket"

    monkeypatch.setattr(tickets, "first_message", first_message)
    person.server.plan(TICKET, login())
    options = parse([*person.words, "--vaultalias=service"], {}, lambda _: "")
    found = log_in_by_ticket(options, asked(person), lambda _: None)
    assert found.vault_token.reveal() == NEW_VAULT_TOKEN
    request = person.server.asked[0]
    assert (request.headers["Authorization"], request.body) == ("Negotiate dGlja2V0", b"")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert hosts == ["service"]


def test_a_ticket_that_opens_nothing_is_told_as_the_server_does(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says neither yes nor no, and why."""
    monkeypatch.setattr(tickets, "first_message", lambda _: b"ticket")
    person.server.plan(TICKET, answer({"auth": None, "warnings": ["There is no login of ada."]}))
    options = parse(person.words, {}, lambda _: "")
    with pytest.raises(LoginNeeded, match="There is no login of ada"):
        log_in_by_ticket(options, asked(person), lambda _: None)


def test_a_missing_ticket_is_told(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is not asked."""

    def missing(_: str) -> bytes:
        raise LocalFileUnfit("No ticket.")

    monkeypatch.setattr(tickets, "first_message", missing)
    with pytest.raises(LocalFileUnfit):
        log_in_by_ticket(parse(person.words, {}, lambda _: ""), asked(person), lambda _: None)
    assert person.server.asked == []


def test_each_key_signs_a_nonce_of_its_own_until_one_opens(person: Person, tmp_path: Path) -> None:
    """What is sent is what HTVault reads; the key checks the signature of the nonce itself."""
    keys = [ed25519_key(), ed25519_key()]
    person.server.plan(
        NONCE, answer({"data": {"nonce": "nonce-of-one"}}), answer({"data": {"nonce": "nonce-two"}})
    )
    person.server.plan(LOGIN, refusal(400, 'role "ada" could not be found'), login())
    told: list[str] = []
    options = parse([*person.words, "-r", "prod"], {}, lambda _: "")
    with running_agent(tmp_path, keys) as environ:
        found = log_in_by_key(options, asked(person), "ada", environ, told.append)
    assert found is not None
    assert "Logging in with ssh key1 failed" in told[0]
    sent = person.server.body(LOGIN)
    assert sent["role"] == "ada"
    assert sent["metadata"] == {"issuer": "cms", "group": "prod"}
    assert base64.b64decode(str(sent["nonce"])) == b"nonce-two"
    assert str(sent["public_key"]) == keys[1].line.replace("key1", "key2")
    signature = base64.b64decode(str(sent["signature"]))
    keys[1].private.public_key().verify(signature, b"nonce-two")  # type: ignore[call-arg] # it is of Ed25519


def test_if_no_key_opens_the_last_refusal_is_the_reason(person: Person, tmp_path: Path) -> None:
    """Without an agent there is none."""
    person.server.plan(NONCE, answer({"data": {"nonce": "some-nonce"}}))
    person.server.plan(LOGIN, refusal(400, "bad signature"))
    options = parse(person.words, {}, lambda _: "")
    with running_agent(tmp_path, [ed25519_key()]) as environ, pytest.raises(NotAllowed):
        log_in_by_key(options, asked(person), "ada", environ, lambda _: None)
    assert log_in_by_key(options, asked(person), "ada", {}, lambda _: None) is None


def test_all_keys_are_registered_in_their_order(person: Person, tmp_path: Path) -> None:
    """By the login's own token; without keys there is a sentence."""
    keys = [ed25519_key(), ed25519_key()]
    person.server.plan("/v1/auth/ssh/role/ada", answer(status=204))
    options, shown = parse(person.words, {}, lambda _: ""), Secret("vault token", "hvs.of-login")
    with running_agent(tmp_path, keys) as environ:
        register_keys(options, asked(person), "ada", shown, environ)
    lines = [one.line.replace("key1", f"key{n}") for n, one in enumerate(keys, start=1)]
    assert person.server.body("/role/ada") == {"public_keys": lines}
    assert person.server.asked[0].headers["X-Vault-Token"] == "hvs.of-login"
    with pytest.raises(LocalFileUnfit, match="no keys"):
        register_keys(options, asked(person), "ada", shown, {})


def test_a_key_that_does_not_sign_leads_on_to_the_next(person: Person, tmp_path: Path) -> None:
    """As one whose owner said no, or whose card is not there."""
    keys = [ed25519_key(), ed25519_key()]
    person.server.plan(NONCE, answer({"data": {"nonce": "some-nonce"}}))
    person.server.plan(LOGIN, login())
    options = parse(person.words, {}, lambda _: "")
    with running_agent(tmp_path, keys, mute=keys[:1]) as environ:
        assert log_in_by_key(options, asked(person), "ada", environ, lambda _: None)
    assert str(person.server.body(LOGIN)["public_key"]).endswith(" key2")


@pytest.mark.parametrize("trouble", [refusal(429, "quota"), refusal(503, "sealed")])
def test_a_server_that_asks_for_patience_is_shown_no_more_keys(
    person: Person, tmp_path: Path, trouble: Answer
) -> None:
    """None would help."""
    person.server.plan(NONCE, answer({"data": {"nonce": "some-nonce"}}))
    person.server.plan(LOGIN, trouble, refusal(400, "bad signature"))
    options = parse(person.words, {}, lambda _: "")
    away = pytest.raises((TooManyRequests, BrokerUnreachable))
    with running_agent(tmp_path, [ed25519_key(), ed25519_key()]) as environ, away:
        log_in_by_key(options, asked(person), "ada", environ, lambda _: None)
    assert person.server.count(LOGIN) == 1
