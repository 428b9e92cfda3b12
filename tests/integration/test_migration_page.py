"""What the page about moving from an HTVault shows is run as it stands, in its order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from credbroker.config.load import load
from credbroker.telemetry.audit import AuditTrail
from tests.fakes.clock import FakeClock
from tests.integration.test_docs import MIGRATION, blocks
from tests.unit.config.place import right

if TYPE_CHECKING:
    from collections.abc import Callable

OLD = """\
issuers:
  - name: wlcg
    clientid: a-client
    secret: a-secret-word
    url: https://issuer.example.org/
    credclaim: email
    roles:
      - name: default
        scopes: [offline_access, wlcg, "storage.read:/"]
"""


def machine(folder: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Return a way to run a block on a machine with an HTVault's settings and a broker's."""
    etc, log, old = folder / "etc", folder / "log", folder / "htvault"
    for place in (etc / "config.d", log, old / "config.d"):
        place.mkdir(parents=True)
    (old / "config.d" / "20-wlcg.yaml").write_text(OLD)
    base = right(folder)
    del base["issuers"]
    (etc / "config.d" / "10-broker.yaml").write_text(yaml.safe_dump(base))
    (folder / "bin").mkdir()
    (folder / "bin" / "credbroker").symlink_to(Path(sys.executable).with_name("credbroker"))

    def play(block: str) -> subprocess.CompletedProcess[str]:
        for written, real in (
            ("/etc/credbroker", etc), ("/etc/htvault-config", old), ("/var/log/credbroker", log),
        ):  # fmt: skip
            block = block.replace(written, str(real))
        return subprocess.run(
            ["/bin/sh", "-eu", "-c", block], env={"PATH": f"{folder}/bin:/usr/bin:/bin"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return play


async def test_the_commands_on_the_page_work_in_their_order(tmp_path: Path) -> None:
    """From the import to the count of those who still come."""
    play = machine(tmp_path)
    carry, compare, back, count = blocks(MIGRATION, "sh")
    carried = play(carry)
    assert carried.returncode == 0, carried.stderr
    assert "the settings are right (1 issuer)" in carried.stdout
    assert "logins end on the issuer's own page" in carried.stderr

    config = tmp_path / "etc" / "config.d"
    (moving,) = blocks(MIGRATION, "yaml")
    (config / "30-moving.yaml").write_text(moving)
    legacy = load(config).issuers["wlcg"].legacy
    assert legacy is not None
    assert legacy.url == "https://htvault-old.example.org:8200"

    same = play(compare)
    assert (same.returncode, same.stdout) == (0, "")
    (tmp_path / "htvault" / "config.d" / "90-more.yaml").write_text(
        "issuers: [{name: wlcg, credclaim: eppn}]"
    )
    differs = play(compare)
    assert (differs.returncode, "+    credkey_claim: eppn" in differs.stdout) == (1, True)

    trail = AuditTrail(tmp_path / "log", "one", FakeClock())
    await trail.record("login", issuer="wlcg", credkey="ada@x.test", role="default")
    trail.close()
    assert "ada@x.test" in play(back).stdout
    assert play(count).stdout.splitlines() == [
        "wlcg: passed on until the end of 2027-03-31 (UTC).",
        "Nobody came with a vault token of an HTVault.",
    ]
