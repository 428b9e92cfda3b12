"""Has the token code of PanDA's server do what it is told; run by the Python it is installed for.

Usage: python inside_panda.py AUTH_CONFIG TOKEN_CACHE_CONFIG. Each line of the input is JSON:
- `["decode", TOKEN]`: what the server takes a bearer token for;
- `["fetch", NAME]`: the token that it fetches for a name of its token cache.

Each line of the output is `[WHETHER_IT_WORKED, WHAT_CAME_OF_IT]`. Of the package pandacommon, which
has nothing to do with tokens, there is a stand-in: a clock that stands still.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

_STANDS_STILL = datetime(2026, 1, 1)  # noqa: DTZ001 - PanDA's own clock has no zone


def token_code() -> Any:
    """Return the server's module about tokens."""
    for name in ("pandacommon", "pandacommon.pandautils", "pandacommon.pandautils.PandaUtils"):
        sys.modules[name] = ModuleType(name)
    vars(sys.modules["pandacommon.pandautils.PandaUtils"])["naive_utcnow"] = lambda: _STANDS_STILL
    return import_module("pandaserver.srvcore.oidc_utils")


class Server:
    """The server as its settings make it."""

    def __init__(self, auth_config: Path, token_cache: Path) -> None:
        """Read both files as the server does."""
        self._code = token_code()
        self._decoder = self._code.TokenDecoder()
        read = json.loads(auth_config.read_text())
        ids = [read["client_id"], *read["secondary_ids"]]
        self._clients = dict.fromkeys(ids, read)
        self._cache = json.loads(token_cache.read_text())

    def decode(self, token: str) -> tuple[bool, Any]:
        """Return the claims, with what the server adds to them; or why it refuses."""
        log = logging.getLogger("panda")
        try:
            claims = self._decoder.deserialize_token(token, self._clients, None, log, None)
        except Exception as error:  # noqa: BLE001 - the server takes each of them for a refusal
            return False, f"{type(error).__name__}: {error}"
        return True, claims

    def fetch(self, name: str) -> tuple[bool, Any]:
        """Return a token; or why there is none."""
        kept = self._cache[name]
        got: tuple[bool, str] = self._code.get_access_token(
            kept["endpoint"], kept["client_id"], kept["secret"], kept.get("scope")
        )
        return got


def main(auth_config: str, token_cache: str) -> None:
    """Answer until the input ends."""
    server = Server(Path(auth_config), Path(token_cache))
    for line in sys.stdin:
        what, argument = json.loads(line)
        answer = {"decode": server.decode, "fetch": server.fetch}[what](argument)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
