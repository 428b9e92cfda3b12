"""`credbroker config check` says that all is right, or names what is not."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from credbroker.config import check
from credbroker.config.load import load
from credbroker.domain.errors import BadSettings
from tests.unit.config.place import right, write


def run(folder: Path) -> int:
    """Run the command as the command line does."""
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    return check.run(parser.parse_args(["check", str(folder)]))


def test_right_settings_are_said_to_be_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    folder = write(tmp_path, a=right(tmp_path))
    assert run(folder) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: the settings are right (2 issuers). ")


@pytest.mark.parametrize("name", ["role-id", "secret-id", "client-secret"])
def test_every_secret_is_looked_at(tmp_path: Path, name: str) -> None:
    """One that everybody may read is found before the broker starts."""
    folder = write(tmp_path, a=right(tmp_path))
    (tmp_path / name).chmod(0o644)
    with pytest.raises(BadSettings, match=name):
        run(folder)


def test_all_secret_files_are_listed(tmp_path: Path) -> None:
    """An issuer without a client secret has none."""
    tree = right(tmp_path)
    del tree["issuers"]["cms"]["client_secret_file"]
    listed = check.secret_files(load(write(tmp_path, a=tree)))
    assert [file.name for _, file in listed] == ["role-id", "secret-id", "client-secret"]
