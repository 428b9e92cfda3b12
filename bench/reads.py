"""Bearer reads per second on HTVault's paths, against OpenBao's own reads of as large a record."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.asking import Asked, Question, ask
from bench.brokers import Broker, callers, start_broker
from bench.ground import ISSUER, ROLE, open_ground
from bench.issuer import PEOPLE
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds, alternate
from credbroker.demo.openbao import OpenBaoServer, OpenBaoSettings
from credbroker.demo.ports import free_port
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from bench.ground import Ground

AT_ONCE = 32
# Each may be read with 500 times at once and 50 times a second: it is not that which is measured.
LEASES_EACH = 25
_WEEK_SECONDS = 7 * 86400
_MOUNT = "peer"
_POLICY = "reader"

_PEER = (
    "The peer is OpenBao's own read of a KV version 2 record that holds what our answer does, with a"
    " token that {policy}: both over TLS on connections kept open, 32 requests in flight, asked by"
    " the same small program on the same cores. Ours writes each delivery to the audit trail and to"
    " disk; the peer has no audit device."
)
_WITH = _PEER.format(policy="has the default policy, as tokens do unless told otherwise")
_WITHOUT = _PEER.format(policy="lacks the default policy")
RATE = Claim(
    "reads", "bearer reads, against OpenBao's with its default policy", "at least", 2.0,
    "per second", _WITH,
)  # fmt: skip
RATE_WITHOUT = Claim(
    "reads", "bearer reads, against OpenBao's without that policy", "at least", 1.0,
    "per second", _WITHOUT,
)  # fmt: skip
SLOWEST = Claim(
    "reads", "slowest bearer read in a hundred, against OpenBao's with its default policy",
    "at most", 1.0, "milliseconds", _WITH,
)  # fmt: skip
SLOWEST_WITHOUT = Claim(
    "reads", "slowest bearer read in a hundred, against OpenBao's without that policy",
    "at most", 1.0, "milliseconds", _WITHOUT,
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """Where to ask, and what."""

    questions: tuple[Question, ...]

    @classmethod
    def of(cls, ground: Ground, port: int, requests: Sequence[str], **programs: int) -> Side:
        """Return the side of one server; how long to ask is said later."""
        ca_file = str(ground.authority.ca_file)
        return cls((Question(port, ca_file, requests, AT_ONCE, 0.0, programs),))

    def beside(self, other: Side) -> Side:
        """Return both at once, with half of the requests in flight each."""
        both = (*self.questions, *other.questions)
        return Side(tuple(replace(one, at_once=AT_ONCE // 2) for one in both))

    async def ask(self, seconds: float) -> list[Asked]:
        """Ask all servers of this side at once."""
        asking = (ask(replace(one, seconds=seconds)) for one in self.questions)
        return list(await asyncio.gather(*asking))


async def take(folder: Path, quick: bool) -> list[Figure]:
    """Measure one broker, two side by side, and OpenBao with two kinds of token."""
    rounds, seconds = (3, 2.0) if quick else (7, 5.0)
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(open_ground(folder))
        one, another = [await _start(ground, name, stack) for name in ("one", "another")]
        leases = [lease for person in PEOPLE for lease in await _leases(ground, one, person.name)]
        ours, other = [await _ours(ground, broker, leases) for broker in (one, another)]
        peer = await stack.enter_async_context(_open_peer(ground, await _said(one, *leases[0])))
        sides = {"one": ours, "two": ours.beside(other), **peer}
        taken = await alternate(
            {name: partial(side.ask, seconds) for name, side in sides.items()}, rounds
        )
    return _figures(taken)


def _figures(taken: dict[str, list[list[Asked]]]) -> list[Figure]:
    alone = {name: [one[0] for one in taken[name]] for name in ("one", "with", "without")}
    rates = {name: tuple(one.per_second for one in asked) for name, asked in alone.items()}
    slow = {name: tuple(one.p99_ms for one in asked) for name, asked in alone.items()}
    two = tuple(sum(one.per_second for one in asked) for asked in taken["two"])
    figures = [
        (RATE, rates, "with", _beside(alone, "with") | _both(two, rates["with"])),
        (RATE_WITHOUT, rates, "without", _beside(alone, "without") | _both(two, rates["without"])),
        (SLOWEST, slow, "with", {}),
        (SLOWEST_WITHOUT, slow, "without", {}),
    ]
    return [
        figure(claim, Rounds(seen["one"], seen[peer]), beside)
        for claim, seen, peer, beside in figures
    ]


def _beside(alone: dict[str, list[Asked]], peer: str) -> dict[str, float]:
    def cpu(side: str, program: str) -> float:
        return median(one.cpu_each(program) for one in alone[side])

    return {
        "CPU ms per bearer read, broker": cpu("one", "broker"),
        "CPU ms per bearer read, OpenBao": cpu("one", "OpenBao"),
        "CPU ms per OpenBao read, OpenBao": cpu(peer, "OpenBao"),
        "CPU ms per bearer read, asking": cpu("one", "asking"),
        "CPU ms per OpenBao read, asking": cpu(peer, "asking"),
    }


def _both(two: tuple[float, ...], peer: tuple[float, ...]) -> dict[str, float]:
    return {
        "two brokers on the same cores, per second": median(two),
        "their ratio": Rounds(two, peer).ratio,
    }


async def _start(ground: Ground, name: str, stack: AsyncExitStack) -> Broker:
    http, port = await stack.enter_async_context(callers(ground)), free_port(SystemEntropy())
    broker = await start_broker(ground.write_settings(name, port), name, port, http)
    stack.push_async_callback(broker.kill)
    await broker.until_it_answers()
    return broker


async def _leases(ground: Ground, broker: Broker, person: str) -> list[tuple[str, str]]:
    """Log somebody in; return the path to read, with each of the shorter leases made of the login's."""
    login = await broker.log_in(ground, person)
    path = f"secret/oauth/creds/{ISSUER}/{person}:{ROLE}"
    url, shown = f"{broker.url}/v1/auth/token/create", {"X-Vault-Token": login}
    leases = []
    for _ in range(LEASES_EACH):
        async with broker.http.post(url, json={"ttl": _WEEK_SECONDS}, headers=shown) as answer:
            leases.append((path, (await answer.json())["auth"]["client_token"]))
    return leases


async def _said(broker: Broker, path: str, lease: str) -> dict[str, Any]:
    """Read once; return what came."""
    url, shown = f"{broker.url}/v1/{path}", {"X-Vault-Token": lease}
    async with broker.http.get(url, headers=shown) as answer:
        answer.raise_for_status()
        return dict((await answer.json())["data"])


async def _ours(ground: Ground, broker: Broker, leases: Sequence[tuple[str, str]]) -> Side:
    for path, lease in leases:
        await _said(broker, path, lease)
    port = int(broker.url.rpartition(":")[2])
    requests = [_request(f"{path}?minimum_seconds=60", lease, port) for path, lease in leases]
    return Side.of(ground, port, requests, broker=broker.pid, OpenBao=ground.openbao.pid)


class _Unaudited(OpenBaoServer):
    """An OpenBao that writes down nothing of what it is asked."""

    def _write_files(self) -> None:
        super()._write_files()
        file = self._layout.config_file
        content = json.loads(file.read_bytes())
        del content["audit"]
        file.write_text(json.dumps(content))


@asynccontextmanager
async def _open_peer(ground: Ground, content: dict[str, Any]) -> AsyncIterator[dict[str, Side]]:
    """Open an OpenBao that holds `content` for each person; return its two sides."""
    settings = OpenBaoSettings(mount=_MOUNT, with_admin=True)
    folder = ground.folder / "peer"
    server = _Unaudited(folder, ground.authority, SystemClock(), SystemEntropy(), settings=settings)
    await asyncio.to_thread(folder.mkdir)
    try:
        await asyncio.to_thread(server.start)
        tokens = await asyncio.to_thread(_filled, server, content)
        port = int(server.address.rpartition(":")[2])
        paths = [f"{_MOUNT}/data/{person.name}" for person in PEOPLE]
        yield {
            name: Side.of(
                ground, port, [_request(path, token, port) for path in paths], OpenBao=server.pid
            )
            for name, token in tokens.items()
        }
    finally:
        await asyncio.to_thread(server.stop)


def _filled(server: OpenBaoServer, content: dict[str, Any]) -> dict[str, str]:
    """Store the records; return a token with the default policy and one without."""
    admin = server.admin_client()
    for person in PEOPLE:
        admin.secrets.kv.v2.create_or_update_secret(person.name, content, cas=0, mount_point=_MOUNT)
    rules = f'path "{_MOUNT}/data/*" {{ capabilities = ["read"] }}'
    admin.sys.create_or_update_policy(_POLICY, rules)
    make: Callable[..., Any] = partial(admin.auth.token.create, policies=[_POLICY], ttl="1h")
    return {
        name: str(make(no_default_policy=alone)["auth"]["client_token"])
        for name, alone in (("with", False), ("without", True))
    }


def _request(path: str, token: str, port: int) -> str:
    """Return a request with the headers that htgettoken sends."""
    head = (
        f"GET /v1/{path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept-Encoding: identity",
        "User-Agent: python-urllib3/2.8.0",
        f"X-Vault-Token: {token}",
    )
    return "\r\n".join((*head, "", ""))
