"""`credbroker serve`: builds a broker from its settings, and has it served.

`serving` says how it runs, stops, and takes new settings.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

from prometheus_client import CollectorRegistry

from credbroker.api.app import build_app
from credbroker.api.batch import BatchApi
from credbroker.api.containment import ContainmentApi
from credbroker.api.deliveries import DeliveriesApi
from credbroker.api.files import FilesApi
from credbroker.api.health import Health
from credbroker.api.htvault_surface import Around, htvault_routes
from credbroker.api.inspecting import InspectApi
from credbroker.api.metrics import Metrics, Sources
from credbroker.api.native import NativeApi, Offered
from credbroker.api.notices import NoticesApi
from credbroker.api.oauth import issuer_routes
from credbroker.api.outlook import Outlook
from credbroker.api.strangers import Strangers
from credbroker.broker.engine import Engine
from credbroker.broker.running import Deeds, Means, NoWaypoints
from credbroker.building import (
    Kept,
    build_communities,
    build_deliveries,
    build_engine,
    build_htvault,
    build_notices,
    build_responding,
    build_verifiers,
    lasting_of,
    open_all,
    open_kept,
    open_signers,
    server_tls,
)
from credbroker.config.load import DEFAULT_FOLDER, load
from credbroker.config.schema import Settings
from credbroker.domain.errors import BadSettings
from credbroker.domain.limits import Allowance
from credbroker.host import hardening
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.loop import quick_loop, take_turns
from credbroker.host.names import HostNames
from credbroker.host.siblings import Siblings
from credbroker.host.workers import Workers
from credbroker.ports import Clock, Entropy, Waypoints
from credbroker.renewing import Renewing
from credbroker.serving import Daemon
from credbroker.stores.records import check_mount
from credbroker.telemetry.audit import AuditTrail
from credbroker.telemetry.counting import CountedAudit, registry_over
from credbroker.telemetry.logging import configure
from credbroker.telemetry.notices import show_notices
from credbroker.telemetry.outgoing import Outgoing

EXAMPLE = """\
example:
  credbroker serve --config /etc/credbroker/config.d
"""


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
    # Until the settings are read there is nothing to be read again.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
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
            read=lambda: load(args.config),
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
    read: Callable[[], Settings] | None = None,
) -> None:
    """Run one replica until SIGTERM or SIGINT; `waypoints` are for tests that stop or kill it.

    A worker, `one_of_several`, shares its port with the others, and stops when it is left alone.
    On SIGHUP the settings are `read` again.
    """
    async with AsyncExitStack() as stack:
        ground = await open_ground(settings, replica, clock, entropy, stack, waypoints=waypoints)
        anew = None
        if read is not None:
            anew = Renewing(settings, read, partial(_build_anew, ground), ground.audit)
        daemon = await build_over(ground, settings)
        serving = daemon.run(one_of_several=one_of_several, anew=anew)
        del daemon  # once it is replaced nobody is to hold it
        await serving


@dataclass(frozen=True, slots=True)
class Ground:
    """What outlives a change of settings: the trail, what is counted, Vault, this host's folders."""

    replica: str
    clock: Clock
    entropy: Entropy
    waypoints: Waypoints
    trail: AuditTrail
    counted: CollectorRegistry
    audit: CountedAudit
    outgoing: Outgoing
    kept: Kept


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
    ground = await open_ground(settings, replica, clock, entropy, stack, waypoints=waypoints)
    daemon = await build_over(ground, settings)
    stack.push_async_exit(daemon.opened)
    return daemon


async def open_ground(
    settings: Settings,
    replica: str,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
    *,
    waypoints: Waypoints | None = None,
) -> Ground:
    """Open what brokers of this replica, one after the other, stand on; it is closed with `stack`.

    Raises `Misconfigured` or `StoreUnavailable` kinds.
    """
    trail = AuditTrail(settings.audit.folder, replica, clock)
    stack.callback(trail.close)
    counted = CollectorRegistry()
    audit = CountedAudit(trail, settings.issuers, counted)
    outgoing = Outgoing(clock, counted)
    kept = await open_kept(settings, replica, clock, entropy, stack, outgoing=outgoing)
    waypoints = waypoints or NoWaypoints()
    return Ground(replica, clock, entropy, waypoints, trail, counted, audit, outgoing, kept)


async def build_over(ground: Ground, settings: Settings) -> Daemon:
    """Return a broker by `settings`; what they name is opened, and closed again if any of it fails.

    Raises `Misconfigured` or `StoreUnavailable` kinds.
    """
    async with AsyncExitStack() as stack:
        daemon = await _built(ground, settings, stack)
        return replace(daemon, opened=stack.pop_all())


async def _build_anew(ground: Ground, settings: Settings) -> Daemon:
    """Refuse while OpenBao/Vault is away: all that is remembered has to be read from it once more."""
    await check_mount(ground.kept.vault, settings.vault.mount)
    return await build_over(ground, settings)


async def _built(ground: Ground, settings: Settings, stack: AsyncExitStack) -> Daemon:
    clock, entropy, audit, vault = ground.clock, ground.entropy, ground.audit, ground.kept.vault
    tls = server_tls(settings.listen, settings.hosts)
    opened = await open_all(settings, ground.kept, clock, stack, outgoing=ground.outgoing)
    means = Means(audit, clock, entropy, Deeds(clock), ground.waypoints, vault.check_clock)
    signers = await open_signers(settings, opened, means, stack)
    engine = build_engine(settings, opened, means, ground.replica, signers)
    htvault = build_htvault(settings, opened, engine, means)
    communities = build_communities(settings, opened, engine, signers, means)
    deliveries = build_deliveries(settings, opened, engine, means)
    responding = build_responding(settings, opened, engine, means)
    notices = await build_notices(settings, opened, engine, deliveries, means, stack=stack)
    outlook = Outlook(engine, clock, settings.keeper.warn_seconds)
    strangers, names = _strangers(settings, clock), HostNames()
    stack.callback(names.close)
    options_file, seal = settings.htvault.options_file, opened.proofs.seal
    around = Around(
        strangers, clock, entropy, seal, names.of, options_file, outlook, notices.choosing
    )
    troubles: list[str] = []

    def own_troubles() -> list[str]:
        return [*troubles, *vault.troubles(), *signers.troubles()]

    seconds_off, siblings = (lambda: vault.seconds_off), Siblings.named()
    sources = Sources(engine, outlook, clock, own_troubles, seconds_off, ground.trail.lag_seconds)
    registry = registry_over(ground.counted)
    show_notices(lambda: notices.telling.waiting, registry)
    metrics = Metrics(sources, registry, siblings)
    app = build_app(
        [
            *_native(settings, engine, outlook, strangers).operations(),
            *BatchApi(engine.leasing, engine.minting, means, strangers=strangers).operations(),
            *ContainmentApi(responding, engine.leasing, strangers).operations(),
            *DeliveriesApi(deliveries, engine.leasing, strangers, tls).operations(),
            *FilesApi(communities, strangers, clock).operations(),
            *NoticesApi(notices.choosing, engine.minting, engine.leasing, strangers).operations(),
            *InspectApi(build_verifiers(opened, signers), engine.leasing, strangers).operations(),
        ],
        [
            *Health(own_troubles, outlook).routes(),
            *metrics.routes(),
            *htvault_routes(engine, htvault, around),
            *issuer_routes(communities, strangers, clock),
        ],
        entropy,
        audit,
        settings.public_url,
    )
    return Daemon(
        app, settings.listen, vault, engine, htvault, means.deeds, troubles, clock, entropy, tls,
        {"clearing deliveries": deliveries.clearing.run, "telling workers": metrics.tell,
         **notices.lasting, **lasting_of(settings, opened, engine, signers, means)},
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
