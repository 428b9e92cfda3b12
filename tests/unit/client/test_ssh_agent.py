"""The ssh-agent over its socket: its keys, its signatures, and what else may listen there."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from credbroker.client import ssh_agent
from credbroker.client.ssh_agent import SshAgent, agent_of
from credbroker.domain.errors import LocalFileUnfit, NotAllowed
from credbroker.domain.ssh_keys import SshKey
from tests.fakes.running_agent import running_agent
from tests.fakes.ssh_agent import AgentKey, ecdsa_key, ed25519_key, rsa_key

if TYPE_CHECKING:
    from pathlib import Path

NONCE = "a-nonce_of.the=server"


@pytest.mark.parametrize("key", [ed25519_key(), ecdsa_key(), rsa_key()], ids=["ed", "ec", "rsa"])
def test_a_key_is_listed_and_signs(tmp_path: Path, key: AgentKey) -> None:
    """What comes back is the inner signature, and the line is one that brokers read."""
    with running_agent(tmp_path, [key]) as environ:
        agent = agent_of(environ)
        assert agent is not None
        (listed,) = agent.list_keys()
        signature = agent.sign(listed, NONCE)
    assert listed.line == key.line
    assert SshKey.parse(listed.line).blob == listed.blob
    public = key.private.public_key()
    if key.line.startswith("ssh-ed25519"):
        public.verify(signature, NONCE.encode())  # type: ignore[call-arg] # it is of Ed25519
    elif key.line.startswith("ssh-rsa"):
        assert signature == key.sign(NONCE.encode())
    else:
        assert 64 < len(signature) < 80


def test_without_a_socket_there_is_no_agent(tmp_path: Path) -> None:
    """One that is named and not there does not do its part."""
    assert agent_of({}) is None
    with pytest.raises(LocalFileUnfit, match="SSH_AUTH_SOCK"):
        SshAgent(str(tmp_path / "missing")).list_keys()


def test_an_agent_may_have_no_keys(tmp_path: Path) -> None:
    """Which is no failure."""
    with running_agent(tmp_path, []) as environ:
        assert SshAgent(environ["SSH_AUTH_SOCK"]).list_keys() == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0\0\0\1\5",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\0\0\7\x0c\0\0\0\1\0\0",
        b"\0\0\0\x09\x0c\0\0\0\1\0\0\0\xff",
    ],
)
def test_what_is_no_agent_is_told(tmp_path: Path, garbage: bytes) -> None:
    """Whatever it says."""
    with running_agent(tmp_path, [], garbage) as environ:
        agent = SshAgent(environ["SSH_AUTH_SOCK"])
        with pytest.raises(LocalFileUnfit):
            agent.list_keys()


@pytest.mark.parametrize(
    "nonce", ["", "short", "a nonce with blanks", "\0\0\0\x20session-id", "é" * 9]
)
def test_only_what_can_be_nothing_but_a_nonce_is_signed(tmp_path: Path, nonce: str) -> None:
    """A server could else have a login elsewhere signed."""
    with running_agent(tmp_path, [ed25519_key()]) as environ:
        agent = SshAgent(environ["SSH_AUTH_SOCK"])
        (key,) = agent.list_keys()
        with pytest.raises(NotAllowed, match="no plain nonce"):
            agent.sign(key, nonce)


def test_an_agent_that_says_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before a person would wait for it to sign."""
    assert ssh_agent.LIST_SECONDS < ssh_agent.SIGN_SECONDS
    monkeypatch.setattr(ssh_agent, "LIST_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "agent"))
        listening.listen()
        with pytest.raises(LocalFileUnfit, match="SSH_AUTH_SOCK"):
            SshAgent(str(tmp_path / "agent")).list_keys()
