"""The demo's job: reads its token file twenty times a second and checks what it finds.

It runs as a process of its own in the sandbox and stands for any program that uses a token: at every
instant the file must be there, whole, private, signed by the issuer, in force, and for exactly the
right that the job was given. On SIGTERM it looks once more and prints what it saw as one JSON object,
with the longest time between two looks: what happened then, nobody saw.
"""

from __future__ import annotations

import argparse
import json
import signal
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from credbroker.host.clock import SystemClock

INTERVAL_SECONDS = 0.05
_FAULTS_KEPT = 5


@dataclass(slots=True)
class Seen:
    """What the reader has seen so far."""

    samples: int = 0
    invalid: int = 0
    tokens: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    looked_at: float | None = None
    longest_gap: float = 0.0

    def note(self, at: float, jti: str | None, fault: str | None) -> None:
        """Count one look at the file; `at` is in seconds since boot."""
        if self.looked_at is not None:
            self.longest_gap = max(self.longest_gap, at - self.looked_at)
        self.looked_at = at
        self.samples += 1
        if jti is not None and jti not in self.tokens:
            self.tokens.append(jti)
        if fault is not None:
            self.invalid += 1
            self.faults = [*self.faults, fault][:_FAULTS_KEPT]

    def as_json(self) -> str:
        """Write what was seen; the first token is no renewal."""
        return json.dumps(
            {
                "samples": self.samples,
                "invalid_samples": self.invalid,
                "renewals": max(0, len(self.tokens) - 1),
                "faults": self.faults,
                "longest_gap_seconds": round(self.longest_gap, 3),
            }
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """What a good token looks like here."""

    keys: KeySet
    scope: str
    audience: str


def look(path: Path, expected: Expected, now: float) -> tuple[str | None, str | None]:
    """Look at the file once; return the token's `jti` and what is wrong with it, each or None.

    `now` is in seconds since the epoch.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) != 0o600:
            return None, "the file is not private"
        text = path.read_text("ascii")
    except (OSError, ValueError) as error:
        return None, f"the file cannot be read ({type(error).__name__})"
    try:
        claims = jwt.decode(text, expected.keys, algorithms=["RS256", "ES256"]).claims
    except (JoseError, ValueError):
        return None, "no token with a good signature is in the file"
    if not claims["nbf"] <= now < claims["exp"]:
        return claims["jti"], "the token is not in force"
    if (claims["scope"], claims["aud"]) != (expected.scope, expected.audience):
        return claims["jti"], "the token is for another right"
    return claims["jti"], None


def main() -> int:
    """Read until SIGTERM; print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("token_file", type=Path)
    parser.add_argument("--jwks", type=Path, required=True)
    parser.add_argument("--scope", required=True)
    parser.add_argument("--audience", required=True)
    args = parser.parse_args()
    keys = KeySet.import_key_set(json.loads(args.jwks.read_text()))
    expected = Expected(keys, args.scope, args.audience)
    clock, seen, stopped = SystemClock(), Seen(), False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    while not stopped and not args.token_file.exists():
        clock.block(INTERVAL_SECONDS)  # a job starts once its token is there
    while not stopped:
        seen.note(clock.elapsed(), *look(args.token_file, expected, clock.now().timestamp()))
        clock.block(INTERVAL_SECONDS)
    seen.note(clock.elapsed(), *look(args.token_file, expected, clock.now().timestamp()))
    sys.stdout.write(seen.as_json() + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
