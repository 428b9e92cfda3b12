"""`python -m bench.edge_idle FOLDER`: what a look at everything costs a credmon when nothing is due.

Every credential there has its token. The last line printed holds the CPU seconds of each look.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.machine import own_cpu_seconds
from credbroker.edge.condor.folder import Folder
from credbroker.edge.condor.settings import read_settings
from credbroker.edge.condor.source import CondorSource
from credbroker.edge.condor.vault_url import TrustedHost
from credbroker.edge.condor.wake import Wake
from credbroker.edge.condor.wanted import Reader
from credbroker.edge.many import Plan
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

LOOKS = 5
# A folder that has just changed is looked at more closely.
SETTLED_SECONDS = 2.1


def main(path: Path, port: int) -> None:
    """Look at everything, and again."""
    clock, wake = SystemClock(), Wake()
    said = {
        "SEC_CREDENTIAL_DIRECTORY_OAUTH": str(path),
        "TRUSTED_VAULT_HOSTS": f"127.0.0.1:{port}",
    }
    settings = read_settings(said, name="CREDMON_OAUTH")
    assert settings.trusted_hosts == (TrustedHost("127.0.0.1", port),)
    source = CondorSource(Reader(Folder(path), settings), wake, clock, lambda *_, **__: None)
    plan = Plan(SystemEntropy().fraction)
    clock.block(SETTLED_SECONDS)
    orders = source.orders()
    found = [source.found(order) is not None for order in plan.stand(orders)]
    assert all(found)
    looks = []
    for _ in range(LOOKS):
        before = own_cpu_seconds()
        wake.everywhere()
        assert not plan.stand(source.orders())
        looks.append(own_cpu_seconds() - before)
    print(json.dumps({"users": len(found), "looks": looks}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
