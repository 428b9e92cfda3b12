"""Logs in without a person: by a Kerberos ticket, or by a key of the ssh-agent."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Callable, Dict, Mapping, Optional

from credbroker.cli.desk import plain
from credbroker.cli.htgettoken.places import service_of
from credbroker.client import tickets
from credbroker.client.ssh_agent import agent_of
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    LocalFileUnfit,
    TooManyRequests,
)

if TYPE_CHECKING:
    from credbroker.cli.htgettoken.options import Options
    from credbroker.client.vault_server import LoggedIn, VaultServer
    from credbroker.domain.secret import Secret

ENDS = (BrokerUnreachable, TooManyRequests, LocalFileUnfit)
"""What no other key or way to log in would help against."""

Tell = Callable[[str], None]


def log_in_by_ticket(options: Options, server: VaultServer, tell: Tell) -> LoggedIn:
    """Return what a Kerberos ticket opens.

    Raises:
        LocalFileUnfit: There is no ticket.
        CredbrokerError: What the server says.
    """
    host = service_of(options).host
    tell(f"Initializing kerberos client for host@{host}")
    return server.by_ticket(options.filled(options.kerbpath), tickets.first_message(host))


def log_in_by_key(
    options: Options,
    server: VaultServer,
    credkey: Optional[str],
    environ: Mapping[str, str],
    tell: Tell,
) -> Optional[LoggedIn]:
    """Return what the first of the agent's keys opens that opens something; None if none does.

    Raises:
        LocalFileUnfit: The agent does not do its part.
        CredbrokerError: What the server says to being asked for a nonce, or to the last key.
    """
    agent = agent_of(environ)
    keys = agent.list_keys() if agent is not None else []
    if agent is None or not keys:
        tell("No ssh-agent keys found")
        return None
    refused: Optional[CredbrokerError] = None
    for key in keys:
        nonce = server.nonce(options.sshpath)
        try:
            proof = _proof(options, nonce, key.line, agent.sign(key, nonce))
            return server.by_key(options.sshpath, credkey, proof)
        except ENDS:
            raise
        except CredbrokerError as stopped:
            tell(f"Logging in with ssh {key.name} failed: {plain(stopped.sentence)}")
            refused = stopped
    if refused is not None:
        raise refused
    return None


def register_keys(
    options: Options,
    server: VaultServer,
    credkey: str,
    shown: Secret,
    environ: Mapping[str, str],
) -> None:
    """Let the agent's keys, and no others, log in as `credkey`; raise as `log_in_by_key`."""
    agent = agent_of(environ)
    lines = [key.line for key in agent.list_keys()] if agent is not None else []
    if not lines:
        raise LocalFileUnfit("The ssh-agent has no keys to register.", "Add one with: ssh-add")
    server.register(options.sshpath, credkey, lines, shown)


def _proof(options: Options, nonce: str, key: str, signature: bytes) -> Dict[str, object]:
    return {
        "public_key": key,
        "nonce": base64.b64encode(nonce.encode()).decode(),
        "signature": base64.b64encode(signature).decode(),
        "metadata": {"issuer": options.issuer, "group": options.role},
    }
