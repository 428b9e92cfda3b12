"""`credbroker serve` and `config check` refuse what cannot be right, in one line that says where.

Every case is a program of its own, and all of them run side by side.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from tests.fixtures_openbao import admin_hvac
from tests.integration.commands import run

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from credbroker.demo.openbao import OpenBaoServer
    from tests.integration.broker_world import BrokerWorld
    from tests.integration.conftest import WorldFactory

WRONG, AWAY = 2, 3
NOBODY = "https://127.0.0.1:1"


@dataclass
class Case:
    """Settings with something wrong, and what both commands have to say to them."""

    name: str
    says: tuple[str, ...]
    change: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    exit: int = WRONG
    settings_alone: bool = True
    """Whether the settings and the files they name are enough to see it."""

    @property
    def is_served(self) -> bool:
        """Whether to try `serve`: what both see in the same way need not be seen twice."""
        return not self.settings_alone or self.name in {"no-folder", "unknown", "twice", "readable"}


CASES = [
    Case("no-folder", ("no-folder", "there is no *.yaml file")),
    Case("unknown", ("20-more.yaml", "vault.adresses", "not known"), {"vault": {"adresses": []}}),
    Case(
        "unknown-deep",
        ("20-more.yaml", "roles.default.scope", "not known"),
        {"issuers": {"ISSUER": {"roles": {"default": {"scope": "x"}}}}},
    ),
    Case("missing", ("audit", "this key is missing"), {"audit": None}),
    Case("twice", ("20-more.yaml", "line 3", "'level'", "twice"), text="log:\n  level: info\n  level: debug\n"),
    Case("no-yaml", ("20-more.yaml", "line 2"), text="log: [\n"),
    Case("plain-http", ("20-more.yaml", "public_url", "https"), {"public_url": "http://host.example"}),
    Case("no-tls", ("listen.tls",), {"listen": {"address": "192.0.2.1", "tls": None}}),
    Case("readable", ("client-secret", "everybody may read", "chmod 0600")),
    Case("no-secret", ("nowhere", "client secret", "No such file"), {"issuers": {"ISSUER": {"client_secret_file": "nowhere"}}}),
    Case("no-certificates", ("10-all.yaml", "certificates")),
    Case("no-audit-folder", ("nowhere", "audit trail cannot be written"), {"audit": {"folder": "nowhere"}}, settings_alone=False),
    Case("no-mount", ("no-such/", "missing"), {"vault": {"mount": "no-such"}}, settings_alone=False),
    Case("wrong-secret-id", ("refuses the broker's AppRole login",), settings_alone=False),
    Case("openbao-away", ("OpenBao/Vault at", "cannot be reached"), {"vault": {"addresses": [NOBODY]}}, exit=AWAY, settings_alone=False),
]  # fmt: skip

LOOSE_MOUNT = Case("loose", ("credbroker/", "cas_required=true", "max_versions=1", "bao write"))


def prepare(world: BrokerWorld, case: Case) -> Path:
    """Write the settings of a case; return the folder to name."""
    if case.name == "no-folder":
        return world.folder / "no-folder"
    folder = world.write_settings(case.name)
    change = yaml.safe_load(yaml.safe_dump(case.change).replace("ISSUER", world.issuer_name))
    if case.name == "missing":
        whole = yaml.safe_load((folder / "10-all.yaml").read_text())
        (folder / "10-all.yaml").write_text(yaml.safe_dump({**whole, "audit": {}}))
        change = {}
    if case.name == "readable":
        (folder / "client-secret").chmod(0o604)
    if case.name == "no-certificates":
        change = {"vault": {"ca_file": str(folder / "10-all.yaml")}}
    if case.name == "wrong-secret-id":
        (folder / "secret-id").write_text("00000000-0000-0000-0000-000000000000")
        (folder / "secret-id").chmod(0o600)
        change = {"vault": {"approle": {"secret_id_file": str(folder / "secret-id")}}}
    (folder / "20-more.yaml").write_text(case.text or yaml.safe_dump(change))
    return folder


async def test_what_cannot_be_right_is_refused_in_one_line_that_says_where(
    broker_world: BrokerWorld,
) -> None:
    """`serve` names file and key and ends with 2, or with 3 where waiting may help."""
    cases = [case for case in CASES if case.is_served]
    folders = [str(prepare(broker_world, case)) for case in cases]
    ended = await asyncio.gather(
        *(
            run("serve", "--config", folder, "--replica", case.name)
            for case, folder in zip(cases, folders, strict=True)
        )
    )
    for case, (code, out, err) in zip(cases, ended, strict=True):
        check(case, code, out, err)


async def test_what_serve_would_refuse_is_refused_by_config_check_just_as_well(
    broker_world: BrokerWorld,
) -> None:
    """Also what OpenBao says; that it is away is no fault, nor is a folder that is made later."""
    cases = [case for case in CASES if case.name != "no-audit-folder"]
    folders = [str(prepare(broker_world, case)) for case in cases]
    ended = await asyncio.gather(*(run("config", "check", folder) for folder in folders))
    for case, (code, out, err) in zip(cases, ended, strict=True):
        if case.exit == AWAY:
            assert (code, err) == (0, "")
            assert "the settings are right (1 issuer)" in out
            assert all(word in out for word in case.says)
        else:
            check(case, code, out, err)


def check(case: Case, code: int, out: str, err: str) -> None:
    """Fail unless the program said in one line what the case wants said, and nothing more."""
    assert (case.name, code, out) == (case.name, case.exit, ""), err
    assert all(word in err for word in case.says), err
    assert err.startswith("credbroker: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    assert "client_secret=" not in err


async def test_a_mount_with_the_usual_rules_is_refused_with_the_command_that_mends_it(
    openbao: OpenBaoServer, open_world: WorldFactory
) -> None:
    """KV's defaults would keep ten old refresh tokens and take late writes."""
    world = await open_world(openbao)
    admin = await asyncio.to_thread(admin_hvac, openbao)
    defaults = {"cas_required": False, "max_versions": 0}
    await asyncio.to_thread(admin.write_data, "credbroker/config", data=defaults)
    folder = prepare(world, LOOSE_MOUNT)
    check(LOOSE_MOUNT, *await run("serve", "--config", str(folder)))


async def test_a_stack_is_shown_only_to_who_asks_for_one(broker_world: BrokerWorld) -> None:
    """`--debug` shows where; the sentence and the exit code stay."""
    code, _, err = await run("serve", "--config", str(broker_world.folder / "none"), "--debug")
    assert code == WRONG
    assert "Traceback" in err
    assert "there is no *.yaml file" in err.splitlines()[-1]
