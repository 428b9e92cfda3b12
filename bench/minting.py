"""`python -m bench.minting`: signs batches of tokens for files, and bare bytes, in turn.

All in one program, on as many cores as it is told: whole requests as `api.files` takes and answers
them, without HTTP; the least that such a request takes; and the signature alone, by the library that
all use, of as many bytes. What to do comes as JSON on standard input; the rates of each round go out
as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from bench.bare_signing import bare_signing
from bench.least_batch import LeastBatch
from bench.memory import DAY, BytesInMemory
from bench.rounds import alternate
from credbroker.api.asked_files import read_files
from credbroker.broker.issuing.files import FileSigned, FilesSigning
from credbroker.broker.issuing.granting import ClientCaller
from credbroker.broker.issuing.keyring import Keyring
from credbroker.broker.issuing.signing import Signing, algorithms
from credbroker.broker.leasing import Origin
from credbroker.broker.running import Deeds, Means
from credbroker.domain.clients import Client
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Entitled
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.signing_keys import KeyRules
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.loop import take_turns
from credbroker.issuers.signers import OwnKeysmith
from credbroker.telemetry.audit import AuditTrail
from credbroker.telemetry.counting import CountedAudit
from credbroker.wire.files import write_token
from credbroker.wire.signing_keys import read_signing_keys, write_signing_keys
from tests.fakes.signing import FreshMarks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

URL = "https://tokens.example.org/dteam/"
STORAGE = "https://se.example.org"
# A request is one of so many files; an RS256 signature takes as long as 28 of ES256.
FILES = {"ES256": 10_000, "RS256": 1_000}
_CLIENT = Client(
    "rucio",
    frozenset({"client_credentials"}),
    Entitled(ScopeSet.parse("storage.read:/dteam"), (STORAGE,)),
    secret_sha256="",
)


@dataclass(frozen=True)
class Task:
    """What to measure: so many rounds of so many seconds of each of the `sides`."""

    sides: Sequence[str]
    algorithm: str
    threads: int
    cores: Sequence[int]
    rounds: int
    seconds: float
    folder: str


async def mint(task: Task) -> dict[str, list[float]]:
    """Measure here; return of each side how many a second it made in each round."""
    os.sched_setaffinity(0, task.cores)
    request = _request(FILES[task.algorithm])
    async with _open_files(task) as (files, least):
        batch = partial(_batch, files, request)
        await batch()
        sides = {
            "ours": partial(_rate, batch, task.seconds),
            "least": partial(_rate, partial(least.answer, request), task.seconds),
            "bare": partial(_rate, partial(_bare, bare_signing(task.algorithm)), task.seconds),
        }
        return await alternate({name: sides[name] for name in task.sides}, task.rounds)


@asynccontextmanager
async def _open_files(task: Task) -> AsyncIterator[tuple[FilesSigning, LeastBatch]]:
    """Open what signs batches: real keys and a real trail, on disk; the keys' record is in memory."""
    clock, entropy = SystemClock(), SystemEntropy()
    trail, keysmith = AuditTrail(Path(task.folder), "one", clock), OwnKeysmith(task.threads)
    audit = CountedAudit(trail, (), CollectorRegistry())
    try:
        means = Means(audit, clock, entropy, Deeds(clock))
        keyring = Keyring(
            BytesInMemory(clock, write_signing_keys, read_signing_keys),
            "dteam",
            URL,
            keysmith=keysmith,
            rules=KeyRules(DAY, 180 * DAY, 7 * DAY),
            means=means,
            algorithms=(task.algorithm,),
        )
        await keyring.open()
        signing = Signing(URL, keyring, FreshMarks(), means, algorithms(task.algorithm, {}))
        files = FilesSigning(signing, LifetimeTable.of({}), audit, lambda _client_id: None)
        signer = keyring.signing(task.algorithm).signer
        yield files, LeastBatch(URL, task.algorithm, signer, trail, clock, entropy)
    finally:
        keysmith.close()
        trail.close()


def _request(files: int) -> bytes:
    """Return the body of a request, as a data management system would ask."""
    entries = [
        {
            "path": f"/dteam/data/run{number // 100:06d}/file{number:08d}.root",
            "access": ["read"],
            "audience": STORAGE,
        }
        for number in range(files)
    ]
    return json.dumps({"entries": entries}).encode()


async def _batch(files: FilesSigning, request: bytes) -> int:
    """Answer one request; return how many tokens were in it."""
    caller = ClientCaller(_CLIENT, Origin("127.0.0.1", "bench"), 0.0)
    n = 0
    async for piece in files.sign(caller, read_files(request)):
        tokens = [one.token for one in piece if isinstance(one, FileSigned)]
        if len(tokens) != len(piece):
            raise RuntimeError(f"Not every entry was signed: {piece}")
        "".join([write_token(n + at, token) for at, token in enumerate(tokens)]).encode()
        n += len(piece)
    return n


async def _bare(some: Callable[[], int]) -> int:
    return some()


async def _rate(deed: Callable[[], Awaitable[int]], seconds: float) -> float:
    """Return how many a second come of doing it over and over."""
    clock, done = SystemClock(), 0
    began = clock.elapsed()
    while clock.elapsed() - began < seconds:
        done += await deed()
    return done / (clock.elapsed() - began)


def main() -> None:
    """Do what standard input says, in a process that is set as `serve` sets its own."""
    take_turns()
    print(json.dumps(asyncio.run(mint(Task(**json.load(sys.stdin))))))


if __name__ == "__main__":
    main()
