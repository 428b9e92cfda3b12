"""The certificates of a file, and nothing else in it, fit into a lease."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import ca_file
from credbroker.demo.certificates import make_authority
from credbroker.domain.errors import LocalFileUnfit
from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


def test_the_certificates_are_taken_and_what_is_beside_them_is_not(tmp_path: Path) -> None:
    """TLS takes what came out as it takes the file."""
    authority = make_authority(tmp_path, SystemClock())
    certificate, key = authority.issue("server", tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(b"# ours\n" + key.read_bytes() + authority.ca_file.read_bytes())
    both.write_bytes(both.read_bytes() + certificate.read_bytes())
    taken = ca_file.read(str(both))
    assert taken == authority.ca_file.read_text() + certificate.read_text()
    assert "PRIVATE" not in taken
    assert len(ssl.create_default_context(cadata=taken).get_ca_certs()) == 1


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    """Whether it is missing, a folder, or holds something else."""
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    for name in ("missing.pem", "key.pem", "."):
        with pytest.raises(LocalFileUnfit, match="certificate authorities"):
            ca_file.read(str(tmp_path / name))


def test_a_systems_whole_list_is_too_much(tmp_path: Path) -> None:
    """The sentence says what to name instead."""
    one = "-----BEGIN CERTIFICATE-----\n" + "A" * 1000 + "\n-----END CERTIFICATE-----\n"
    (tmp_path / "all.pem").write_text(one * 100)
    with pytest.raises(LocalFileUnfit, match="too many") as unfit:
        ca_file.read(str(tmp_path / "all.pem"))
    assert "--ca-file" in unfit.value.remedy
