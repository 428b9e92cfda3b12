"""`python -m bench.edge_stock FOLDER CA_FILE`: one pass of HTCondor's own credmon for Vault, re-created.

As that one works: the list of all `.top` files, then one after the other. For each it looks at the
files' times, reads the JSON, fetches by one GET over one connection that is kept, writes a temporary
file into the folder itself, sets its mode, renames it; nothing is flushed to disk. The last line
printed tells how many and how long.
"""

from __future__ import annotations

import glob
import json
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

from bench.machine import own_cpu_seconds
from credbroker.host.clock import SystemClock

MINIMUM_SECONDS = 2400
REFRESH_SECONDS = MINIMUM_SECONDS / 2

clock = SystemClock()


def one_pass(folder: Path, ca_file: str) -> int:
    """Renew what is due; return how many that were."""
    pools: dict[tuple[str, int], urllib3.HTTPSConnectionPool] = {}
    renewed = 0
    for top in glob.glob(f"{folder}/*/*.top"):  # noqa: PTH207 - as the stock one does
        use = Path(top).with_suffix(".use")
        if _is_due(Path(top), use):
            _renew(folder, Path(top), use, pools, ca_file)
            renewed += 1
    return renewed


def _is_due(top: Path, use: Path) -> bool:
    if not use.exists():
        return True
    written = use.stat().st_ctime
    return clock.now().timestamp() > written + REFRESH_SECONDS or top.stat().st_ctime > written


def _renew(
    folder: Path,
    top: Path,
    use: Path,
    pools: dict[tuple[str, int], urllib3.HTTPSConnectionPool],
    ca_file: str,
) -> None:
    stored = json.loads(top.read_text())
    url = urlsplit(stored["vault_url"])
    assert url.hostname is not None
    assert url.port is not None
    place = (url.hostname, url.port)
    if place not in pools:
        limits = urllib3.Timeout(connect=2, read=10)
        pools[place] = urllib3.HTTPSConnectionPool(
            *place, ca_certs=ca_file, timeout=limits, retries=False
        )
    answer = pools[place].request(
        "GET",
        url.path,
        fields={"minimum_seconds": str(MINIMUM_SECONDS)},
        headers={"X-Vault-Token": stored["vault_token"]},
    )
    token = json.loads(answer.data)["data"]["access_token"]
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as opened:
        opened.write(token + "\n")
    temporary = Path(opened.name)
    temporary.chmod(0o400)
    temporary.replace(use)


def main(folder: Path, ca_file: str) -> None:
    """Renew once what is due, then pass once more with nothing to do."""
    began = clock.elapsed()
    renewed = one_pass(folder, ca_file)
    seconds = clock.elapsed() - began
    before = own_cpu_seconds()
    assert one_pass(folder, ca_file) == 0
    idle = own_cpu_seconds() - before
    print(json.dumps({"renewed": renewed, "seconds": seconds, "idle": idle}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
