"""`credbroker serve`: runs the broker that `building` builds from its settings, and stops it.

Any task that ends, even without an error, ends the process;
systemd starts it again. On SIGTERM nothing new is taken and every refresh in flight is awaited and
stored before the process ends.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from credbroker.api.app import build_app
from credbroker.api.batch import BatchApi
from credbroker.api.connections import Runner
from credbroker.api.containment import ContainmentApi
from credbroker.api.deliveries import DeliveriesApi
from credbroker.api.files import FilesApi
from credbroker.api.health import Health
from credbroker.api.htvault_surface import Around, htvault_routes
from credbroker.api.inspecting import InspectApi
from credbroker.api.metrics import Metrics, Sources
from credbroker.api.native import NativeApi, Offered
from credbroker.api.oauth import issuer_routes
from credbroker.api.outlook import Outlook
from credbroker.api.strangers import Strangers
from credbroker.broker.engine import Engine
from credbroker.broker.htvault import Htvault
from credbroker.broker.running import Deeds, Means, NoWaypoints
from credbroker.building import (
    build_communities,
    build_deliveries,
    build_engine,
    build_htvault,
    build_responding,
    build_verifiers,
    lasting_of,
    open_all,
    open_signers,
    server_tls,
)
from credbroker.config.load import DEFAULT_FOLDER, load
from credbroker.config.schema import Hosts, Listen, Settings
from credbroker.domain.errors import BadSettings
from credbroker.domain.limits import Allowance
from credbroker.host import hardening, systemd
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.loop import quick_loop, take_turns
from credbroker.host.names import HostNames
from credbroker.host.workers import Workers, tell_when_alone
from credbroker.ports import Clock, Entropy, Waypoints
from credbroker.stores.vault import VaultClient
from credbroker.telemetry.audit import AuditTrail
from credbroker.telemetry.counting import CountedAudit
from credbroker.telemetry.logging import configure

# Callers are answered for this long after SIGTERM; with a refresh in flight (120 s) and its storing
# that stays below the 180 s that systemd is told to wait.
STOP_ANSWER_SECONDS = 15.0
KEPT_ALIVE_SECONDS = 75.0
# A Kerberos ticket with what Active Directory puts into it travels in one header.
LONGEST_HEADER_BYTES = 64 * 1024
# A slow Vault keeps the port closed for no longer than this.
FIRST_BEAT_SECONDS = 5.0

EXAMPLE = """\
example:
  credbroker serve --config /etc/credbroker/config.d
"""

log = structlog.get_logger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER",
        help="the folder of settings, *.yaml in name order (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--replica", default=socket.gethostname(), metavar="NAME",
        help="this process's name in claims and audit files; no two may share one",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N",
        help="so many processes share the port, as replicas NAME-1 to NAME-N (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--one-of-several", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; return the exit status."""
    hardening.forbid_core_dumps()
    settings = load(args.config)
    configure(settings.log.level)
    take_turns()
    with asyncio.Runner(loop_factory=quick_loop()) as runner:
        if args.workers > 1:
            return runner.run(Workers(_commands(args, settings), SystemClock()).run())
        serving = serve(
            settings,
            args.replica,
            SystemClock(),
            SystemEntropy(),
            one_of_several=args.one_of_several,
        )
        runner.run(serving)
    return 0


def _commands(args: argparse.Namespace, settings: Settings) -> list[list[str]]:
    """Return the command of each worker. Raises `BadSettings`."""
    if settings.listen.port == 0:
        raise BadSettings("Workers share a port: set listen.port to one.")
    command = [sys.executable, "-P", "-m", "credbroker", "serve", "--config", str(args.config)]
    return [
        [*command, "--one-of-several", "--replica", f"{args.replica}-{number}"]
        for number in range(1, args.workers + 1)
    ]


async def serve(
    settings: Settings,
    replica: str,
    clock: Clock,
    entropy: Entropy,
    *,
    waypoints: Waypoints | None = None,
    one_of_several: bool = False,
) -> None:
    """Run one replica until SIGTERM or SIGINT; `waypoints` are for tests that stop or kill it.

    A worker, `one_of_several`, shares its port with the others, and stops when it is left alone.
    """
    async with AsyncExitStack() as stack:
        daemon = await build(settings, replica, clock, entropy, stack, waypoints=waypoints)
        await daemon.run(one_of_several=one_of_several)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A broker that is built and not yet running; `also` runs for as long as it does."""

    app: web.Application
    listen: Listen
    vault: VaultClient
    engine: Engine
    htvault: Htvault
    deeds: Deeds
    troubles: list[str]
    clock: Clock
    entropy: Entropy
    hosts: Hosts = field(default_factory=Hosts)
    also: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)

    async def run(self, *, one_of_several: bool = False) -> None:
        """Answer HTTP and keep the Vault login until told to stop; finish what was begun."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        if one_of_several:
            tell_when_alone(stopping.set)
        runner = Runner(
            self.app,
            self.entropy,
            handle_signals=False,
            shutdown_timeout=STOP_ANSWER_SECONDS,
            keepalive_timeout=KEPT_ALIVE_SECONDS,
            max_field_size=LONGEST_HEADER_BYTES,
        )
        await runner.setup()
        tls = server_tls(self.listen, self.hosts)
        sites = [
            web.TCPSite(runner, one, self.listen.port, ssl_context=tls, reuse_port=one_of_several)
            for one in self.listen.addresses
        ]
        try:
            await self.look_around()
            await _listening(sites, self.listen)
            systemd.notify("READY=1")
            log.info("ready", address=", ".join(self.listen.addresses), port=self.listen.port)
            async with asyncio.TaskGroup() as tasks:
                lasting = {
                    name: tasks.create_task(_for_ever(run), name=name)
                    for name, run in self._lasting().items()
                }
                await stopping.wait()
                systemd.notify("STOPPING=1")
                self.troubles.append("This replica is stopping.")
                for one in ("keeping", "recovering", "expiring"):
                    lasting[one].cancel()
                # First everybody is answered, so that nothing new begins; then all is finished.
                await runner.cleanup()
                await self.deeds.finish()
                for task in lasting.values():
                    task.cancel()
        finally:
            await runner.cleanup()
            await self.deeds.finish()
        log.info("stopped")

    async def look_around(self) -> None:
        """Learn who else runs and what is known of the issuers, before anybody is answered.

        If OpenBao/Vault is slow, that goes on while callers are answered.
        """
        beat = self.deeds.begin(self.engine.beating.beat(), "first beat")
        await self.deeds.is_done(beat, FIRST_BEAT_SECONDS)

    def _lasting(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs for as long as the process does."""
        return {
            "vault login": self.vault.stay_logged_in(),
            "beating": self.engine.beating.run(),
            "keeping": self.engine.keeping.run(),
            "recovering": self.engine.recovering.run(),
            "containing": self.engine.containing.run(),
            "clearing": self.engine.clearing.run(),
            "expiring": self.htvault.expire_for_ever(),
            "watchdog": self._watchdog().run(),
            **{name: run() for name, run in self.also.items()},
        }

    def _watchdog(self) -> systemd.Watchdog:
        """Return what systemd kills this process without: neither round waits long for a server."""
        keeping, containing = self.engine.keeping, self.engine.containing
        return systemd.Watchdog(self.clock, [lambda: keeping.passes, lambda: containing.rounds])


async def build(
    settings: Settings,
    replica: str,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
    *,
    waypoints: Waypoints | None = None,
) -> Daemon:
    """Open everything that `settings` name, check it, and wire it together.

    What was opened is closed with `stack`. Raises `Misconfigured` or `StoreUnavailable` kinds.
    """
    trail = AuditTrail(settings.audit.folder, replica, clock)
    stack.callback(trail.close)
    counted = CollectorRegistry()
    audit = CountedAudit(trail, settings.issuers, counted)
    opened = await open_all(settings, replica, clock, entropy, stack)
    waypoints, check_clock = waypoints or NoWaypoints(), opened.vault.check_clock
    means = Means(audit, clock, entropy, Deeds(clock), waypoints, check_clock)
    signers = await open_signers(settings, opened, means, stack)
    engine = build_engine(settings, opened, means, replica, signers)
    htvault = build_htvault(settings, opened, engine, means)
    communities = build_communities(settings, opened, engine, signers, means)
    deliveries = build_deliveries(settings, opened, engine, means)
    responding = build_responding(settings, opened, engine, means)
    outlook = Outlook(engine, clock, settings.keeper.warn_seconds)
    strangers, names = _strangers(settings, clock), HostNames()
    stack.callback(names.close)
    options_file, seal = settings.htvault.options_file, opened.proofs.seal
    around = Around(strangers, clock, entropy, seal, names.of, options_file, outlook)
    troubles: list[str] = []

    def own_troubles() -> list[str]:
        return [*troubles, *opened.vault.troubles(), *signers.troubles()]

    sources = Sources(engine, outlook, clock, own_troubles, lambda: opened.vault.seconds_off)
    app = build_app(
        [
            *_native(settings, engine, outlook, strangers).operations(),
            *BatchApi(engine.leasing, engine.minting, means, strangers=strangers).operations(),
            *ContainmentApi(responding, engine.leasing, strangers).operations(),
            *DeliveriesApi(deliveries, engine.leasing, strangers).operations(),
            *FilesApi(communities, strangers, clock).operations(),
            *InspectApi(build_verifiers(opened, signers), engine.leasing, strangers).operations(),
        ],
        [
            *Health(own_troubles, outlook).routes(),
            *Metrics(sources, counted).routes(),
            *htvault_routes(engine, htvault, around),
            *issuer_routes(communities, strangers, clock),
        ],
        entropy,
        audit,
        settings.public_url,
    )
    return Daemon(
        app, settings.listen, opened.vault, engine, htvault, means.deeds, troubles, clock, entropy, settings.hosts,
        {"clearing deliveries": deliveries.clearing.run, **lasting_of(settings, opened, engine, signers, means)},
    )  # fmt: skip


def _native(
    settings: Settings, engine: Engine, outlook: Outlook, strangers: Strangers
) -> NativeApi:
    return NativeApi(
        engine.enrolling,
        engine.leasing,
        engine.minting,
        engine.ending,
        {name: Offered(one.url, list(one.roles)) for name, one in settings.issuers.items()},
        stepping=engine.stepping,
        strangers=strangers,
        outlook=outlook,
    )


def _strangers(settings: Settings, clock: Clock) -> Strangers:
    limits = settings.limits
    allowance = Allowance(limits.per_address_per_second, limits.per_address_burst)
    shared = [ip_network(one, strict=False) for one in settings.htvault.shared_hosts]
    return Strangers(allowance, clock, shared)


async def _listening(sites: Sequence[web.TCPSite], listen: Listen) -> None:
    for site, address in zip(sites, listen.addresses, strict=True):
        try:
            await site.start()
        except OSError as error:
            raise BadSettings(
                f"Cannot listen on {address} port {listen.port} ({error.strerror})."
            ) from None


async def _for_ever(task: Coroutine[Any, Any, None]) -> None:
    """Treat a plain return as a failure too: a task that silently ended is a fault."""
    await task
    raise RuntimeError("a task that should run for ever has ended")
