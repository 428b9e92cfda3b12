"""`credbroker admin vault-setup` against a real OpenBao: what it makes, mends, and leaves alone."""

from __future__ import annotations

import argparse
import asyncio
import io
import stat
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from credbroker.__main__ import main
from credbroker.admin.desk import Desk
from credbroker.admin.vault_setup import add_arguments, set_up
from credbroker.building import open_vault
from credbroker.config.load import load
from credbroker.demo.private_files import write_private
from credbroker.domain.errors import BadSettings, StoreMisconfigured, StoreUnavailable
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.stores.broker_place import POLICY_NAME, broker_policy
from credbroker.stores.records import grant_records
from credbroker.stores.transit import TransitKeys
from tests.fixtures_openbao import admin_hvac
from tests.unit.things import grant

if TYPE_CHECKING:
    from pathlib import Path

    import hvac

    from credbroker.demo.openbao import OpenBaoServer

pytestmark = pytest.mark.slow

ROLE = "auth/approle/role/credbroker"
POLICY = f"sys/policies/acl/{POLICY_NAME}"


class HastyClock(SystemClock):
    """Waiting passes the time at once."""

    skipped = 0.0

    def elapsed(self) -> float:
        """Return seconds since boot, those that were waited for included."""
        return super().elapsed() + self.skipped

    async def sleep(self, seconds: float) -> None:
        """Skip `seconds`."""
        self.skipped += seconds


@dataclass
class Site:
    """An OpenBao that nobody has set up, its administrator, and settings that lead to it."""

    openbao: OpenBaoServer
    admin: hvac.Client
    folder: Path
    said: str = ""

    def write_settings(self, **more: object) -> None:
        """Write what a site writes before there is any login."""
        vault = {
            "addresses": [self.openbao.address],
            "ca_file": str(self.openbao.ca_file),
            "approle": {
                f"{half}_file": str(self.folder / "secrets" / half.replace("_", "-"))
                for half in ("role_id", "secret_id")
            },
        }
        role = {"scopes": ["openid", "offline_access"]}
        one = {"url": "https://127.0.0.1:9/", "client_id": "credbroker", "roles": {"default": role}}
        content = {
            "public_url": "https://127.0.0.1:8200",
            "audit": {"folder": str(self.folder)},
            "vault": vault,
            "issuers": {"cms": one},
            **more,
        }
        (self.folder / "config.d/all.yaml").write_text(yaml.safe_dump(content))

    def vault_setup(
        self, *words: str, token: str | None = None, clock: SystemClock | None = None
    ) -> str:
        """Run the command as an administrator; return what it answered."""
        write_private(self.folder / "token", (token or self.admin.token).encode())
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        named = ["--config", str(self.folder / "config.d")]
        args = parser.parse_args([*named, "--token-file", str(self.folder / "token"), *words])
        out, err = io.StringIO(), io.StringIO()
        try:
            set_up(args, Desk(clock or SystemClock(), SystemEntropy(), out, err))
        finally:
            self.said = f"{out.getvalue()}{err.getvalue()}"
        return self.said

    def content(self) -> dict[str, Any]:
        """Return all that an administrator can see of what the command is about."""
        paths = ("sys/mounts", "sys/auth", POLICY, ROLE, "credbroker/config")
        return {path: self.at(path) for path in paths}

    def at(self, path: str) -> Any:
        """Return what is at `path`; None where there is nothing."""
        found = self.admin.read(path)
        return found["data"] if isinstance(found, dict) else None

    def fresh(self) -> None:
        """Set everything up and forget what was said."""
        self.vault_setup("--do")


@pytest.fixture
def site(shared_openbao: OpenBaoServer, tmp_path: Path) -> Site:
    """Nothing is set up but the administrator."""
    admin = admin_hvac(shared_openbao)
    admin.delete("sys/mounts/credbroker")
    admin.delete("sys/auth/approle")
    admin.delete(POLICY)
    for name in ("config.d", "secrets"):
        (tmp_path / name).mkdir(mode=0o700)
    found = Site(shared_openbao, admin, tmp_path)
    found.write_settings()
    return found


def test_a_dry_run_tells_everything_and_changes_nothing(site: Site) -> None:
    """It is what happens unless `--do` is said."""
    before = site.content()
    said = site.vault_setup("--login-to", str(site.folder / "secrets"))
    assert said.count("missing ") == 6
    assert "Nothing was changed. With --do, 6 of 6 would be." in said
    assert site.content() == before
    assert not list((site.folder / "secrets").iterdir())


def test_done_twice_there_is_nothing_to_do(site: Site) -> None:
    """The second time neither OpenBao nor the files change."""
    words = ("--do", "--login-to", str(site.folder / "secrets"))
    assert "Done: 6 of 6." in site.vault_setup(*words)
    before, secrets = site.content(), site.folder / "secrets"
    files = {one.name: one.read_bytes() for one in secrets.iterdir()}
    assert "There was nothing to do." in site.vault_setup(*words)
    assert site.content() == before
    assert {one.name: one.read_bytes() for one in secrets.iterdir()} == files
    assert {stat.S_IMODE(one.stat().st_mode) for one in secrets.iterdir()} == {0o600}


def test_a_broker_can_work_with_what_was_made(site: Site) -> None:
    """It logs in, finds the mount fit, stores a grant, and signs with an engine of its own."""
    keys = {"url": "https://127.0.0.1:8200/own/", "keys": {"transit": "own-transit"}}
    site.write_settings(communities={"own": keys})
    site.vault_setup("--do", "--login-to", str(site.folder / "secrets"))
    settings = load(site.folder / "config.d")

    async def work() -> tuple[int, list[bytes]]:
        async with AsyncExitStack() as stack:
            entropy = SystemEntropy()
            vault = await open_vault(settings.vault, SystemClock(), entropy, stack)
            stored = await grant_records(vault, "credbroker").put("a" * 43, grant(), 0)
            transit = TransitKeys(vault, "own-transit", entropy)
            name, _ = await transit.make("ES256")
            return stored, await transit.sign(name, [b"signed"])

    stored, (signature,) = asyncio.run(work())
    assert (stored, len(signature)) == (1, 64)
    right = site.at(ROLE)
    assert right["token_no_default_policy"] is True
    assert right["token_type"] == "service"


def test_the_demos_server_was_set_up_by_the_same_requests(
    openbao: OpenBaoServer, tmp_path: Path
) -> None:
    """So there is nothing to do in it."""
    (tmp_path / "config.d").mkdir()
    demo = Site(openbao, admin_hvac(openbao), tmp_path)
    demo.write_settings()
    said = demo.vault_setup()
    assert said.count("right ") == 5
    assert "There is nothing to do." in said


def test_a_policy_of_an_older_broker_is_brought_up_to_date(site: Site) -> None:
    """What it lacks is said line by line, and added; so an upgrade is the same command."""
    site.fresh()
    now = broker_policy("credbroker")
    older = "\n".join(one for one in now.splitlines() if "/notices/" not in one)
    site.admin.write_data(POLICY, data={"policy": older})
    assert 'it lacks  path "credbroker/data/notices/*"' in site.vault_setup()
    site.vault_setup("--do")
    assert site.at(POLICY)["policy"] == now


def test_a_role_that_carries_the_default_policy_is_relieved_of_it(site: Site) -> None:
    """Which takes away, and gives nothing; the site's own lifetimes stay."""
    site.fresh()
    site.admin.write_data(ROLE, data={"token_no_default_policy": False, "token_ttl": 60})
    assert "token_no_default_policy is false" in site.vault_setup("--do")
    role = site.at(ROLE)
    assert (role["token_no_default_policy"], role["token_ttl"]) == (True, 60)


def test_a_mount_that_keeps_old_versions_is_told_not_to(site: Site) -> None:
    """Where nobody but a broker keeps anything."""
    site.fresh()
    site.admin.write_data("credbroker/config", data={"max_versions": 10, "cas_required": False})
    site.admin.write_data("credbroker/data/grants/one", data={"data": {}})
    assert "max_versions is 10" in site.vault_setup("--do")
    kept = site.at("credbroker/config")
    assert (kept["max_versions"], kept["cas_required"]) == (1, True)


def left_alone(site: Site, *words: str) -> str:
    """Run it for good; return what was said, once nothing has changed."""
    before = site.content()
    with pytest.raises(StoreMisconfigured):
        site.vault_setup("--do", *words)
    assert site.content() == before
    return site.said


def test_a_policy_that_allows_more_is_shown_and_left(site: Site) -> None:
    """Somebody gave the broker that; nothing is taken away, and nothing is added to it."""
    site.fresh()
    more = broker_policy("credbroker") + 'path "secret/*" { capabilities = ["read"] }\n'
    site.admin.write_data(POLICY, data={"policy": more})
    assert 'it has    path "secret/*" { capabilities = ["read"] }' in left_alone(site)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"token_policies": [POLICY_NAME, "other"]}, "token_policies are credbroker-broker, other"),
        ({"token_policies": []}, "token_policies are none"),
        ({"token_type": "batch"}, "token_type is batch"),
        ({"bind_secret_id": False, "secret_id_bound_cidrs": ["127.0.0.1/32"]}, "bind_secret_id"),
    ],
)
def test_a_role_made_otherwise_is_shown_and_left(
    site: Site, changed: dict[str, Any], said: str
) -> None:
    """It may be somebody's on purpose."""
    site.fresh()
    site.admin.write_data(ROLE, data=changed)
    assert said in left_alone(site)


def test_old_versions_of_somebody_elses_records_are_kept(site: Site) -> None:
    """One version only would delete them."""
    site.fresh()
    site.admin.write_data("credbroker/config", data={"max_versions": 10, "cas_required": False})
    site.admin.write_data("credbroker/data/wiki/password", data={"data": {"a": "b"}})
    assert "records that are no broker's lie there: wiki" in left_alone(site)


def test_an_engine_of_another_kind_stops_everything(site: Site) -> None:
    """A policy for it would open somebody else's secrets to the broker."""
    site.admin.write_data("sys/mounts/credbroker", data={"type": "kv", "options": {"version": "1"}})
    left_alone(site)
    assert site.at(POLICY) is None


def test_a_login_that_opens_nothing_is_not_written_over(site: Site) -> None:
    """It may be another broker's; half a login as well."""
    secrets = site.folder / "secrets"
    for name in ("role-id", "secret-id"):
        write_private(secrets / name, b"of another broker")
    site.fresh()
    assert "nobody can log in by them" in left_alone(site, "--login-to", str(secrets))
    (secrets / "role-id").unlink()
    assert "only secret-id is there" in left_alone(site, "--login-to", str(secrets))
    assert (secrets / "secret-id").read_text() == "of another broker"


def test_a_token_that_may_not_is_refused_in_words(site: Site) -> None:
    """With what to do about it, and without the token."""
    with pytest.raises(StoreMisconfigured) as refused:
        site.vault_setup("--do", token="nobodys-token")
    assert "does not accept the token" in refused.value.sentence
    assert "nobodys-token" not in f"{refused.value.sentence}{refused.value.remedy}{site.said}"


def test_another_openbao_is_named_by_its_address(site: Site, tmp_path: Path) -> None:
    """Then no settings are read; one that does not answer is said to be away."""
    (site.folder / "config.d/all.yaml").write_text("no: settings")
    there = ("--address", site.openbao.address, "--ca-file", str(site.openbao.ca_file))
    assert "the KV version 2 engine elsewhere/" in site.vault_setup(*there, "--mount", "elsewhere")
    with pytest.raises(StoreUnavailable):
        site.vault_setup("--address", "https://127.0.0.1:9", clock=HastyClock())


def test_the_token_comes_from_a_file_or_the_environment(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """OpenBao's own variable goes before Vault's; without any, the command says what it wants."""
    for name in ("BAO_TOKEN", "VAULT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    words = ["admin", "vault-setup", "--config", str(site.folder / "config.d")]
    assert main(words) == 2
    assert "--token-file" in capsys.readouterr().err
    monkeypatch.setenv("VAULT_TOKEN", "nobodys-token")
    assert main(words) == 2
    monkeypatch.setenv("BAO_TOKEN", site.admin.token)
    assert main(words) == 0
    assert capsys.readouterr().out.count("missing ") == 5


def test_the_policy_can_be_had_without_asking_anybody(site: Site) -> None:
    """As it is for the mount that is named."""
    nobody = ("--address", "https://127.0.0.1:9", "--mount", "here")
    assert site.vault_setup("--print-policy", *nobody) == broker_policy("here")


def test_where_a_pod_logs_in_there_is_no_approle(site: Site) -> None:
    """The engine and the policy are looked at; a login that is not the broker's is not made."""
    account = {"role": "credbroker", "token_file": "/var/run/account"}
    vault = {"addresses": [site.openbao.address], "ca_file": str(site.openbao.ca_file)}
    site.write_settings(vault={**vault, "kubernetes": account})
    assert "Done: 3 of 3." in site.vault_setup("--do")
    assert "approle/" not in site.content()["sys/auth"]
    with pytest.raises(BadSettings, match="no AppRole"):
        site.vault_setup("--login-to", str(site.folder))
