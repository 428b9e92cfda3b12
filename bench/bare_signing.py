"""`python -m bench.bare_signing ALGORITHM CORE SECONDS`: the signature alone, as often as one core can.

It prints how many in how many seconds, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from bench.child import ask_child
from credbroker.host.clock import SystemClock
from credbroker.issuers.signers import RSA_BITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# So long is what is signed of a token for one file.
_SIGNED = b"x" * 440
_AT_ONCE = 100


def bare_signing(algorithm: str) -> Callable[[], int]:
    """Return what makes some signatures with a new key, by `cryptography`, and tells how many."""
    sha256 = hashes.SHA256()
    if algorithm == "ES256":
        sign = partial(ec.generate_private_key(ec.SECP256R1()).sign, _SIGNED, ec.ECDSA(sha256))
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        sign = partial(key.sign, _SIGNED, padding.PKCS1v15(), sha256)

    def some() -> int:
        for _ in range(_AT_ONCE):
            sign()
        return _AT_ONCE

    return some


async def on_cores(algorithm: str, cores: Sequence[int], seconds: float) -> float:
    """Return how many a second programs make together that sign at once, one on each of `cores`."""
    asked = [ask_child("bench.bare_signing", algorithm, core, seconds) for core in cores]
    return float(sum(one["done"] / one["seconds"] for one in await asyncio.gather(*asked)))


def main() -> None:
    """Sign for so long."""
    algorithm, core, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    os.sched_setaffinity(0, [core])
    some, clock, done = bare_signing(algorithm), SystemClock(), 0
    began = clock.elapsed()
    while clock.elapsed() - began < seconds:
        done += some()
    print(json.dumps({"done": done, "seconds": clock.elapsed() - began}))


if __name__ == "__main__":
    main()
