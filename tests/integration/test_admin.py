"""The operators' commands at a real issuer over TLS and a real OpenBao."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from credbroker.admin.desk import Desk
from credbroker.admin.office import Office, open_office
from credbroker.admin.probe import Wished, probe
from credbroker.admin.release import release
from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.custody.sorting import REWIND_SEGMENT
from credbroker.config.load import load
from credbroker.demo.issuer import RefreshPolicy
from credbroker.domain.attenuation import Right
from credbroker.domain.grants import GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.losses import BRAKED
from credbroker.domain.marks import RewindMark
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Renewed
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.host.entropy import SystemEntropy
from tests.integration.broker_world import READ
from tests.integration.commands import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from credbroker.demo.openbao import OpenBaoServer
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
        left = await is_left(world, office)
    assert left is (kind is not UnclearRule.ASK)
    assert f"Recorded for {world.issuer_name}: {kind.value}" in said
    rule = await rule_of_a_broker(world)
    assert rule.kind is kind
    assert (0 < rule.grace_seconds < GRACE_SECONDS) is (kind is UnclearRule.GRACE)


async def is_left(world: BrokerWorld, office: Office) -> bool:
    """Return whether a throw-away login is in custody, and make sure that it is good."""
    found = await office.grants.get(GrantKey(world.issuer_name, PROBE_CREDKEY, "default").segment())
    if found is None:
        return False
    issuer = await office.open_issuer(office.settings_of(world.issuer_name))
    token = found.value.refresh_token
    assert token is not None
    outcome = await issuer.refresh(token, Right(ScopeSet.parse(READ)), at_once, seconds=5.0)
    assert isinstance(outcome, Renewed)
    return True


async def at_once() -> None:
    """Be a claim that is stored already."""


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
        kept_back = replace(found.value, state=GrantState.PAUSED, reason=BRAKED)
        await office.grants.put(key.segment(), kept_back, found.version)
        assert (await broker.token(lease)).error == "grant_paused"
        await release(office, key.issuer, restore=False)
        assert isinstance(desk.out, io.StringIO)
        assert "1 login kept back by it can be used again." in desk.out.getvalue()
    assert (await broker.token(lease)).status == 200


async def test_logins_that_new_settings_would_leave_behind_are_counted(
    openbao: OpenBaoServer, open_world: WorldFactory
) -> None:
    """A changed client, or a removed issuer, is refused, unless an operator accepts what it costs."""
    world = await open_world(openbao)
    name, broker = world.issuer_name, await world.replica("one")
    for person in ("alice", "bob"):
        await broker.log_in(person)
    right = world.write_settings("right")
    changed = world.write_settings("changed", issuer={"client_id": "new"})
    removed = world.write_settings("removed")
    tree: dict[str, Any] = yaml.safe_load((removed / "10-all.yaml").read_text())
    tree["issuers"] = {"other": tree["issuers"].pop(name)}
    (removed / "10-all.yaml").write_text(yaml.safe_dump(tree))
    cases = {
        "right": await run("config", "check", str(right)),
        "changed": await run("config", "check", str(changed)),
        "accepted": await run("config", "check", str(changed), "--accept-orphans"),
        "offline": await run("config", "check", str(changed), "--offline"),
        "removed": await run("config", "check", str(removed)),
    }
    assert {case: ended[0] for case, ended in cases.items()} == {
        "right": 0, "changed": 2, "accepted": 0, "offline": 0, "removed": 2,
    }  # fmt: skip
    sentence = f"2 logins at {name} were made through client 'credbroker'; with 'new' none of them"
    assert sentence in cases["changed"][2]
    assert "--accept-orphans" in cases["changed"][2]
    assert "they leave 2 behind" in cases["accepted"][1]
    gone = f"2 logins at {name} were made, which the settings do not name"
    assert gone in cases["removed"][2]


async def test_a_restore_is_not_called_mended_before_all_have_sorted(
    openbao: OpenBaoServer, open_world: WorldFactory
) -> None:
    """The command says in one line what is to be done first; without a halt it lists nobody."""
    world = await open_world(openbao)
    folder = world.write_settings("admin")
    config = ("--config", str(folder))
    assert await run("admin", "restored", "--json", *config) == (
        0, '{"must_log_in": [], "unknown": 0, "damaged": 0}\n', "Refreshes go on.\n",
    )  # fmt: skip
    async with an_office(world, folder) as (office, desk):
        mark = RewindMark(1, desk.clock.now().replace(microsecond=0), "one")
        await office.rewind.put(REWIND_SEGMENT, mark, 0)
    code, out, err = await run("admin", "restored", *config)
    assert (code, out) == (3, "")
    assert "Ask again in" in err
    assert err.count("\n") == 1
