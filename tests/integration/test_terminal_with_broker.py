"""What people type, as whole programs against a real broker, OpenBao and issuer."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.issuer import faults
from tests.integration.broker_world import READ

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.broker_world import BrokerWorld, Served

pytestmark = pytest.mark.slow

CALLERS = 12
CODE = re.compile(r"^ {4}([A-Z0-9]{6})$", re.MULTILINE)
NARROW = ("--scope", "storage.read:/job", "--audience", "https://se.example.org")


@dataclass
class Person:
    """Somebody with a home folder, who confirms each login that is shown to them."""

    broker: Served
    home: Path

    async def type(self, *words: str) -> tuple[int, str, str]:
        """Run a command to its end; return its exit code, its answer, and what it said."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "credbroker", *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                "PATH": os.defpath,
                "HOME": str(self.home),
                "XDG_RUNTIME_DIR": str(self.home),
                "CREDBROKER_URL": self.broker.url,
                "CREDBROKER_CA_FILE": str(self.broker.world.authority.ca_file),
            },
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        said = ""
        try:
            async with asyncio.timeout(60):
                async for line in child.stderr:
                    said += line.decode()
                    if shown := CODE.match(line.decode().rstrip("\n")):
                        self.broker.world.issuer.approve(shown[1], "alice")
                answer = (await child.stdout.read()).decode()
                return await child.wait(), answer, said
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()


@pytest.fixture
async def person(broker_world: BrokerWorld, tmp_path: Path, unused_tcp_port: int) -> Person:
    """A person who is not logged in, and a broker in a process of its own."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Person(await broker_world.serve(port=unused_tcp_port), home)


async def test_a_day_of_a_person(person: Person) -> None:
    """Log in, look, fetch, run, log out; each says what it must and no more."""
    code, answer, said = await person.type("login", "--json")
    assert (code, json.loads(answer)["credkey"]) == (0, "alice"), said
    assert (await person.type("status", "--check", "--for", "8h"))[:2] == (0, "")
    code, answer, said = await person.type("token", "--json")
    assert (code, said) == (0, "")
    token = json.loads(answer)
    assert READ in token["scope"].split()
    assert token["issuer_url"] == person.broker.world.issuer.url
    code, answer, said = await person.type("inspect", "--json")
    assert (code, json.loads(answer)["signature"]) == (0, "verified"), said
    code, answer, _ = await person.type("token", "--auth-header")
    assert (code, answer) == (0, f"Authorization: Bearer {token['access_token']}\n")
    show = 'test "$(cat "$BEARER_TOKEN_FILE")" != "" && exit 5'
    assert (await person.type("exec", *NARROW, "--", "sh", "-c", show))[0] == 5
    code, answer, _ = await person.type("logout", "--json")
    assert (code, json.loads(answer)["revoked"]) == (0, True)
    assert (await person.type("token"))[0] == 4


async def test_status_says_what_the_issuer_wants(person: Person) -> None:
    """The last error, in the broker's words, and what mends it: not always a new login."""
    world = person.broker.world
    assert (await person.type("login"))[0] == 0
    world.on_refresh(faults.oauth_error("invalid_grant", "AUP is not signed"))
    assert (await person.type("token", "-o", "-", *NARROW))[0] == 4
    code, answer, _ = await person.type("status", "--json")
    (row,) = json.loads(answer)
    assert (code, row["state"]) == (4, "paused")
    assert row["last_error"]
    assert "Mend what the issuer wants" in row["remedy"]


async def test_callers_that_need_the_same_login_are_one_login(person: Person) -> None:
    """At a broker that counts them in its trail; each has a token afterwards."""
    world = person.broker.world
    assert (await person.type("login"))[0] == 0
    assert (await person.type("logout"))[0] == 0
    asked = [person.type("token", world.issuer_name, "-o", "-", "--login") for _ in range(CALLERS)]
    ends = await asyncio.gather(*asked)
    assert [code for code, _, _ in ends] == [0] * CALLERS, ends
    assert all(answer.count(".") == 2 for _, answer, _ in ends)
    begun = [line for line in world.audit_lines() if line["event"] == "login_started"]
    assert len(begun) == 2
