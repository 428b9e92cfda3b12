"""The example has every setting, with its default, and is itself settings that are right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from credbroker.admin import config_example
from credbroker.config.load import load
from credbroker.config.meanings import MEANINGS
from credbroker.config.schema import Settings
from tests.unit.admin.test_config_show import run
from tests.unit.config.place import write

if TYPE_CHECKING:
    from pathlib import Path

TEXT = config_example.text()


def uncommented() -> dict[str, Any]:
    """Return all that it shows, as if every `#` before a setting were taken away."""
    lines = [line.removeprefix("#") for line in TEXT.splitlines() if not line.startswith("##")]
    read: dict[str, Any] = yaml.safe_load("\n".join(lines))
    return read


def test_the_command_writes_it(tmp_path: Path) -> None:
    """And nothing else."""
    assert run("example") == TEXT
    assert max(map(len, TEXT.splitlines())) <= 110


def test_as_it_stands_it_is_right_once_its_secrets_are_there(tmp_path: Path) -> None:
    """`config check` accepts it, with the two files of the AppRole in their place."""
    for name in ("role-id", "secret-id"):
        (tmp_path / name).write_text("a-secret\n")
        (tmp_path / name).chmod(0o600)
    text = TEXT.replace("/etc/credbroker/secrets", str(tmp_path))
    folder = write(tmp_path, example=text)
    assert "the settings are right (1 issuer)" in run("check", "--offline", str(folder))


def test_with_all_of_it_uncommented_it_is_right_but_for_a_second_way_to_log_in(
    tmp_path: Path,
) -> None:
    """Of two ways to log in to OpenBao/Vault one must be chosen."""
    tree = uncommented()
    del tree["vault"]["kubernetes"]
    read = load(write(tmp_path, example=tree))
    assert list(read.communities["dteam"].clients) == ["rucio"]
    assert read.kerberos[0].realms == ["EXAMPLE.ORG"]


def test_what_is_commented_out_is_the_default_where_there_is_one(tmp_path: Path) -> None:
    """Taking a `#` away changes nothing by itself."""
    tree = uncommented()
    del tree["vault"]["kubernetes"]
    shown = load(write(tmp_path, example=tree))
    plain = load(write(tmp_path, example=TEXT))
    for name in ("leases", "tokens", "custody", "keeper", "limits", "htvault", "ssh", "log"):
        assert getattr(shown, name) == getattr(plain, name)
    for before, after in ((plain.vault, shown.vault), (plain.audit, shown.audit)):
        assert before == after


def test_every_setting_is_in_it_with_its_meaning() -> None:
    """Each once, under the words of the reference."""
    prose = " ".join(re.sub(r"^## *", "", line) for line in TEXT.splitlines())
    for key, meaning in MEANINGS.items():
        assert meaning in prose, key
    assert {one.encode_name for one in msgspec.structs.fields(Settings)} == set(uncommented())
