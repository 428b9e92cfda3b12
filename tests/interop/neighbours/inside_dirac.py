"""Has DIRAC's own client of an identity provider do what it is told; run by the Python it is installed for.

Usage: python inside_dirac.py SETTINGS PROVIDER [PREFIX]. Each line of the input names a method and its
arguments, as JSON; each line of the output is what came of it, in DIRAC's own form.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def provider(settings: Path, name: str, prefix: str) -> Any:
    """Return the client as DIRAC makes it from its settings."""
    client = import_module("DIRAC.ConfigurationSystem.Client.Config").gConfig
    read = import_module("diraccfg").CFG()
    read.loadFromBuffer(settings.read_text())
    client.loadCFG(read)
    factory = import_module("DIRAC.Resources.IdProvider.IdProviderFactory").IdProviderFactory()
    made = factory.getIdProvider(name, client_name_prefix=prefix)
    assert made["OK"], made
    return made["Value"]


def main(settings: str, name: str, prefix: str = "") -> None:
    """Answer until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    client = provider(Path(settings), name, prefix)
    for line in sys.stdin:
        method, arguments = json.loads(line)
        print(json.dumps(getattr(client, method)(**arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
