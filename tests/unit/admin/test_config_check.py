"""`credbroker config check` says that all is right, or names what is not."""

from __future__ import annotations

import argparse
import datetime
import io
from typing import TYPE_CHECKING

import pytest
import yaml

from credbroker.admin import config_check
from credbroker.admin.desk import Desk
from credbroker.domain.errors import BadSettings
from credbroker.host.clock import SystemClock
from tests.fakes.entropy import FakeEntropy
from tests.unit.config.place import right, write

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.demo.certificates import Authority

# Nobody listens there.
NOBODY = "https://127.0.0.1:1"


def run(folder: Path, *options: str) -> str:
    """Run the command as the command line does; return what it answered."""
    parser = argparse.ArgumentParser()
    config_check.add_arguments(parser)
    out = io.StringIO()
    desk = Desk(SystemClock(), FakeEntropy(), out, io.StringIO())
    args = parser.parse_args(["check", str(folder), *options])
    assert config_check.run(args, desk) == 0
    return out.getvalue()


def test_right_settings_are_said_to_be_right(tmp_path: Path) -> None:
    """In one line."""
    folder = write(tmp_path, a=right(tmp_path))
    assert run(folder, "--offline") == (
        f"{folder}: the settings are right (2 issuers). OpenBao/Vault was not asked.\n"
    )


def test_that_vault_is_away_is_no_fault_of_the_settings(tmp_path: Path) -> None:
    """It is said, and what is not known because of it."""
    tree = right(tmp_path)
    tree["vault"]["addresses"] = [NOBODY]
    said = run(write(tmp_path, a=tree))
    assert "the settings are right (2 issuers). " in said
    assert NOBODY in said
    assert "it is not known if they would leave logins behind" in said
    assert said.count("\n") == 1


def test_what_the_device_flow_does_not_protect_from_is_said(tmp_path: Path) -> None:
    """For each issuer that goes on by it; the settings are right all the same."""
    tree = right(tmp_path)
    name = next(iter(tree["issuers"]))
    tree["issuers"][name]["confirm"] = "device"
    out, err = io.StringIO(), io.StringIO()
    parser = argparse.ArgumentParser()
    config_check.add_arguments(parser)
    args = parser.parse_args(["check", str(write(tmp_path, a=tree)), "--offline"])
    assert config_check.run(args, Desk(SystemClock(), FakeEntropy(), out, err)) == 0
    assert err.getvalue().startswith(f"{name}: with `confirm: device`, whoever starts a login")
    assert err.getvalue().count("\n") == 1


@pytest.mark.parametrize("name", ["role-id", "secret-id", "client-secret"])
def test_every_secret_is_looked_at(tmp_path: Path, name: str) -> None:
    """One that everybody may read is found before the broker starts."""
    folder = write(tmp_path, a=right(tmp_path))
    (tmp_path / name).chmod(0o644)
    with pytest.raises(BadSettings, match=name):
        run(folder, "--offline")


@pytest.mark.parametrize("place", ["vault", "issuer", "legacy"])
def test_every_file_of_authorities_is_looked_at(tmp_path: Path, place: str) -> None:
    """One without certificates in it, and one that is not there."""
    tree = right(tmp_path)
    egi = tree["issuers"]["egi"]
    egi["legacy"] = {"url": "https://old.test:8200", "until": datetime.date(2026, 6, 30)}
    section = {"vault": tree["vault"], "issuer": egi, "legacy": egi["legacy"]}[place]
    for file in (tmp_path / "role-id", tmp_path / "nowhere"):
        section["ca_file"] = str(file)
        with pytest.raises(BadSettings, match=f"{file.name}: this does not hold certificates"):
            run(write(tmp_path, a=tree), "--offline")


def test_the_rules_about_peoples_rights_are_read(tmp_path: Path) -> None:
    """A wrong one is found before the broker is started, and named by file and key."""
    folder = tmp_path / "rights.d"
    dteam = {"url": "https://broker.test:8200/dteam/", "rights_folder": str(folder)}
    settings = write(tmp_path, a=right(tmp_path) | {"communities": {"dteam": dteam}})
    with pytest.raises(BadSettings, match=r"rights\.d: there is no"):
        run(settings, "--offline")
    folder.mkdir()
    allow = {"scopes": ["storage.read:/"]}
    rule = {"when": {"groups": ["/dteam"]}, "allow": allow}
    file = folder / "dteam.yaml"
    file.write_text(yaml.safe_dump({"rules": [rule]}))
    with pytest.raises(BadSettings, match=r"dteam\.yaml: rules\[0\]\.allow"):
        run(settings, "--offline")
    allow["audiences"] = ["https://se.test"]
    file.write_text(yaml.safe_dump({"rules": [rule]}))
    assert "the settings are right" in run(settings, "--offline")


def test_a_certificate_and_a_key_that_do_not_belong_together_are_found(
    tmp_path: Path, authority: Authority
) -> None:
    """Before a broker is stopped for them."""
    certificate, key = authority.issue("broker", tmp_path)
    _, other_key = authority.issue("other", tmp_path)
    tree = right(tmp_path)
    tree["listen"] = {"tls": {"certificate_file": str(certificate), "key_file": str(key)}}
    assert "the settings are right" in run(write(tmp_path, a=tree), "--offline")
    tree["listen"]["tls"]["key_file"] = str(other_key)
    with pytest.raises(BadSettings, match="do not work together"):
        run(write(tmp_path, a=tree), "--offline")
