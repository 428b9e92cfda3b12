"""`credbroker jwks export` writes what a running broker publishes, as the program that operators run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.integration.commands import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.broker_world import BrokerWorld

ISSUER = "https://tokens.example.org/dteam/"
MORE = {"communities": {"dteam": {"url": ISSUER, "clients": {}}}}


async def exported(config: Path, to: Path) -> tuple[int, str, str]:
    """Run the program; return its exit code and what it wrote."""
    return await run("jwks", "export", "--config", str(config), "--to", str(to))


async def test_the_files_are_what_the_broker_answers(
    broker_world: BrokerWorld, tmp_path: Path
) -> None:
    """The same keys byte for byte, the same metadata; before a broker ran there are none."""
    config, to = broker_world.write_settings("export", more=MORE), tmp_path / "www"
    code, _, why = await exported(config, to)
    assert code != 0
    assert "has no keys yet" in why
    broker = await broker_world.replica(more=MORE)
    said = f"{to / 'dteam'}: keys of {ISSUER}: 2\n"
    assert await exported(config, to) == (0, said, "")
    answered = await broker.ask("GET", "/dteam/jwks")
    assert (to / "dteam/jwks").read_bytes() == answered.body
    metadata = await broker.ask("GET", "/dteam/.well-known/openid-configuration")
    written = (to / "dteam/.well-known/openid-configuration").read_bytes()
    assert json.loads(written) == metadata.json
    assert b"PRIVATE" not in b"".join(one.read_bytes() for one in to.rglob("*") if one.is_file())
