"""The operators' commands at a real issuer over TLS and a real OpenBao."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from credbroker.admin.desk import Desk
from credbroker.admin.office import Office, open_office
from credbroker.admin.probe import Wished, probe
from credbroker.admin.release import release
from credbroker.broker.issuer_marks import IssuerMarks
from credbroker.broker.sorting import REWIND_SEGMENT
from credbroker.config.load import load
from credbroker.demo.issuer import RefreshPolicy
from credbroker.domain import rotation
from credbroker.domain.grants import GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.marks import RewindMark
from credbroker.domain.names import GrantKey
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.broker_world import BrokerWorld
    from tests.integration.conftest import WorldFactory

PATIENCE_SECONDS = 30.0
GRACE_SECONDS = 60.0


@contextlib.asynccontextmanager
async def an_office(world: BrokerWorld, folder: Path) -> AsyncIterator[tuple[Office, Desk]]:
    """Open an office over the settings in `folder`, by the clock of the world."""
    desk = Desk(world.clock, SystemEntropy(), io.StringIO(), io.StringIO())
    async with contextlib.AsyncExitStack() as stack:
        yield await open_office(load(folder), desk, stack), desk


async def run(*words: str) -> tuple[int, str, str]:
    """Run the program; return its exit code and what it wrote."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "credbroker", *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath},
    )  # fmt: skip
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def probed(world: BrokerWorld, office: Office, desk: Desk) -> str:
    """Probe the world's issuer, confirming the login and leaping over the pauses."""
    assert isinstance(desk.out, io.StringIO)
    assert isinstance(desk.err, io.StringIO)
    err = desk.err
    task = office.means.deeds.begin(probe(office, Wished(world.issuer_name)), "probe")
    await world.until(lambda: "Waiting ..." in err.getvalue())
    (code,) = re.findall(r"confirm the code (\S+) there", err.getvalue())
    world.issuer.approve(code, "alice")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await office.means.deeds.is_done(task, 0.01):
            world.clock.leap(1.0)
    task.result()
    return desk.out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (RefreshPolicy.REUSE, UnclearRule.RETRY_SAFE),
        (RefreshPolicy.ROTATE, UnclearRule.ONCE_MORE),
        (RefreshPolicy.GRACE, UnclearRule.GRACE),
        (RefreshPolicy.ROTATE_REVOKE_FAMILY, UnclearRule.ASK),
    ],
)
async def test_a_probe_finds_what_the_issuer_does_and_brokers_go_by_it(
    open_world: WorldFactory, policy: RefreshPolicy, kind: UnclearRule
) -> None:
    """A grace is not over-estimated; what is left of the login is alive."""
    world = await open_world(refresh_policy=policy, grace_seconds=GRACE_SECONDS)
    async with an_office(world, world.write_settings("admin")) as (office, desk):
        said = await probed(world, office, desk)
    assert f"Recorded for {world.issuer_name}: {kind.value}" in said
    rule = await rule_of_a_broker(world)
    assert rule.kind is kind
    assert (0 < rule.grace_seconds < GRACE_SECONDS) is (kind is UnclearRule.GRACE)
    if kind is not UnclearRule.ASK:
        kept = world.grant_of(PROBE_CREDKEY)
        assert kept.refresh_token is not None
        assert world.issuer.is_alive(kept.refresh_token.reveal())


async def rule_of_a_broker(world: BrokerWorld) -> Rule:
    """Return what a broker that starts now goes by."""
    broker = await world.replica("one")
    assert broker.daemon is not None
    marks: IssuerMarks = broker.daemon.engine.marks
    await marks.read()
    return marks.rule(world.issuer_name)


async def test_a_released_login_works_again(broker_world: BrokerWorld) -> None:
    """Kept back while the brake was on, and given back by the command."""
    broker = await broker_world.replica("one")
    lease = await broker.log_in()
    key = GrantKey(broker_world.issuer_name, "alice", "default")
    async with an_office(broker_world, broker_world.write_settings("admin")) as (office, desk):
        await (await office.marks({})).brake(key.issuer)
        found = await office.grants.get(key.segment())
        assert found is not None
        kept_back = replace(found.value, state=GrantState.PAUSED, reason=rotation.BRAKED)
        await office.grants.put(key.segment(), kept_back, found.version)
        assert (await broker.token(lease)).error == "grant_paused"
        await release(office, key.issuer, restore=False)
        assert "1 login kept back by it can be used again." in desk.out.getvalue()  # type: ignore[attr-defined]
    assert (await broker.token(lease)).status == 200


async def test_a_changed_client_id_is_refused_with_the_number_of_logins(
    broker_world: BrokerWorld,
) -> None:
    """Unless an operator accepts that they are lost; the right settings pass."""
    name = broker_world.issuer_name
    broker = await broker_world.replica("one")
    for person in ("alice", "bob"):
        await broker.log_in(person)
    right = broker_world.write_settings("right")
    changed = broker_world.write_settings("changed", issuer={"client_id": "new"})
    cases = {
        "right": await run("config", "check", str(right)),
        "changed": await run("config", "check", str(changed)),
        "accepted": await run("config", "check", str(changed), "--accept-orphans"),
        "offline": await run("config", "check", str(changed), "--offline"),
    }
    assert {case: ended[0] for case, ended in cases.items()} == {
        "right": 0, "changed": 2, "accepted": 0, "offline": 0,
    }  # fmt: skip
    sentence = f"2 logins at {name} were made through client 'credbroker'; with 'new' none of them"
    assert sentence in cases["changed"][2]
    assert "--accept-orphans" in cases["changed"][2]
    assert "they leave 2 behind" in cases["accepted"][1]


async def test_a_restore_is_not_called_mended_before_all_have_sorted(
    broker_world: BrokerWorld,
) -> None:
    """The command says in one line what is to be done first; without a halt it lists nobody."""
    folder = broker_world.write_settings("admin")
    config = ("--config", str(folder))
    assert await run("admin", "restored", "--json", *config) == (
        0, '{"must_log_in": [], "unknown": 0, "damaged": 0}\n', "Refreshes go on.\n",
    )  # fmt: skip
    async with an_office(broker_world, folder) as (office, desk):
        mark = RewindMark(1, desk.clock.now().replace(microsecond=0), "one")
        await office.rewind.put(REWIND_SEGMENT, mark, 0)
    code, out, err = await run("admin", "restored", *config)
    assert (code, out) == (3, "")
    assert "Ask again in" in err
    assert err.count("\n") == 1


async def test_a_removed_issuer_leaves_its_logins_behind(broker_world: BrokerWorld) -> None:
    """As a changed client does."""
    broker = await broker_world.replica("one")
    await broker.log_in()
    folder = broker_world.write_settings("removed")
    file = folder / "10-all.yaml"
    tree: dict[str, Any] = yaml.safe_load(file.read_text())
    tree["issuers"] = {"other": tree["issuers"].pop(broker_world.issuer_name)}
    file.write_text(yaml.safe_dump(tree))
    code, _, err = await run("config", "check", str(folder))
    assert code == 2
    assert f"1 login at {broker_world.issuer_name} was made, which the settings do not name" in err
