"""The file of a chain holds one or two secrets, whole and private, or nothing that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import chain_file, whole_file
from credbroker.delivery.chain_file import Secrets
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path

BOTH = Secrets(*(LeaseToken("i" * 22, Secret("lease", letter * 43)) for letter in "pn"))


@pytest.mark.parametrize("secrets", [BOTH, Secrets(BOTH.present)])
def test_the_secrets_come_back_and_are_their_owners_alone(tmp_path: Path, secrets: Secrets) -> None:
    """Nothing else is in the folder afterwards."""
    path = tmp_path / "state"
    chain_file.write(path, secrets, SystemEntropy())
    assert chain_file.read(path) == secrets
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("content", [b"", b"{}", b"rubbish", b'{"present":"cb_x","next":"y"}'])
def test_what_holds_no_secret_is_as_if_it_were_not_there(tmp_path: Path, content: bytes) -> None:
    """The job is started anew then, which is no alarm."""
    path = tmp_path / "state"
    assert chain_file.read(path) is None
    whole_file.replace(path, content, SystemEntropy())
    assert chain_file.read(path) is None


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """They could go on from it."""
    path = tmp_path / "state"
    chain_file.write(path, BOTH, SystemEntropy())
    path.chmod(0o644)
    with pytest.raises(LocalFileUnfit, match="by others"):
        chain_file.read(path)


def test_they_do_not_show() -> None:
    """In a log of the whole of it."""
    assert "p" * 43 not in repr(BOTH)
