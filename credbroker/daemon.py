"""`credbroker serve`: builds the broker from its settings, runs its tasks, stops them.

The only place that knows every room. Any task that ends, even without an error, ends the process;
systemd starts it again. On SIGTERM nothing new is taken and every refresh in flight is awaited and
stored before the process ends.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import ssl
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from credbroker.api.app import build_app
from credbroker.api.health import Health
from credbroker.api.native import NativeApi, Offered
from credbroker.api.strangers import Strangers
from credbroker.broker.ending import Ending
from credbroker.broker.enrolling import Enrolling, Enrolment
from credbroker.broker.holding import HeldTokens
from credbroker.broker.leasing import Leasing
from credbroker.broker.minting import Minting, MintingRules
from credbroker.broker.refreshing import Refreshing
from credbroker.broker.running import Deeds, Means
from credbroker.config.check import DEFAULT_FOLDER
from credbroker.config.load import check_private, load, read_secret
from credbroker.config.schema import Issuer as IssuerSettings
from credbroker.config.schema import Listen, Settings
from credbroker.config.schema import Vault as VaultSettings
from credbroker.domain.errors import BadSettings
from credbroker.domain.limits import Allowance
from credbroker.domain.rotation import UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.host import hardening, systemd
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.http import OutgoingHttp
from credbroker.issuers.oidc import Dialect, OidcIssuer
from credbroker.ports import Clock, Entropy
from credbroker.stores.records import check_mount, grant_records, lease_records, login_records
from credbroker.stores.vault import AppRoleLogin, VaultClient
from credbroker.telemetry.audit import AuditTrail
from credbroker.telemetry.logging import configure

# Callers are answered for this long after SIGTERM; with a refresh in flight (120 s) and its storing
# that stays below the 180 s that systemd is told to wait.
STOP_ANSWER_SECONDS = 15.0
KEPT_ALIVE_SECONDS = 75.0

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


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; return the exit status."""
    hardening.forbid_core_dumps()
    settings = load(args.config)
    configure(settings.log.level)
    asyncio.run(serve(settings, args.replica, SystemClock(), SystemEntropy()))
    return 0


async def serve(settings: Settings, replica: str, clock: Clock, entropy: Entropy) -> None:
    """Run one replica until SIGTERM or SIGINT."""
    async with AsyncExitStack() as stack:
        daemon = await build(settings, replica, clock, entropy, stack)
        await daemon.run()


@dataclass(frozen=True, slots=True)
class Daemon:
    """A broker that is built and not yet running."""

    app: web.Application
    listen: Listen
    vault: VaultClient
    deeds: Deeds
    troubles: list[str]

    async def run(self) -> None:
        """Answer HTTP and keep the Vault login until told to stop; finish what was begun."""
        stopping = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopping.set)
        runner = web.AppRunner(
            self.app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=STOP_ANSWER_SECONDS,
            keepalive_timeout=KEPT_ALIVE_SECONDS,
        )
        await runner.setup()
        site = web.TCPSite(
            runner, self.listen.address, self.listen.port, ssl_context=_server_tls(self.listen)
        )
        try:
            await _listening(site, self.listen)
            systemd.notify("READY=1")
            log.info("ready", address=self.listen.address, port=self.listen.port)
            async with asyncio.TaskGroup() as tasks:
                login = tasks.create_task(
                    _for_ever(self.vault.stay_logged_in()), name="vault login"
                )
                await stopping.wait()
                systemd.notify("STOPPING=1")
                self.troubles.append("This replica is stopping.")
                # First everybody is answered, so that nothing new begins; then all is finished.
                await runner.cleanup()
                await self.deeds.finish()
                login.cancel()
        finally:
            await runner.cleanup()
            await self.deeds.finish()
        log.info("stopped")


async def build(
    settings: Settings, replica: str, clock: Clock, entropy: Entropy, stack: AsyncExitStack
) -> Daemon:
    """Open everything that `settings` name, check it, and wire it together.

    What was opened is closed with `stack`. Raises `Misconfigured` or `StoreUnavailable` kinds.
    """
    vault = await _vault(settings.vault, clock, entropy, stack)
    issuers = {name: await _issuer(one, clock, stack) for name, one in settings.issuers.items()}
    audit = AuditTrail(settings.audit.folder, replica, clock)
    stack.callback(audit.close)
    await vault.log_in()
    await check_mount(vault, settings.vault.mount)

    grants = grant_records(vault, settings.vault.mount)
    means = Means(audit, clock, entropy, Deeds(clock))
    leasing = Leasing(
        lease_records(vault, settings.vault.mount),
        means,
        longest_job_seconds=settings.leases.job_seconds,
    )
    held = HeldTokens(clock)
    refreshing = Refreshing(grants, issuers, held, means, replica)
    minting = Minting(grants, refreshing, held, _rules(settings), means)
    enrolling = Enrolling(
        login_records(vault, settings.vault.mount),
        grants,
        leasing,
        {name: _enrolment(settings.issuers[name], one) for name, one in issuers.items()},
        means,
        login_seconds=settings.leases.login_seconds,
    )
    ending = Ending(grants, refreshing, minting, leasing, means)
    offered = {name: Offered(one.url, list(one.roles)) for name, one in settings.issuers.items()}
    troubles: list[str] = []
    app = build_app(
        NativeApi(
            enrolling, leasing, minting, ending, offered, strangers=_strangers(settings, clock)
        ),
        Health(lambda: [*troubles, *vault.troubles()]),
        entropy,
        audit,
        settings.public_url,
    )
    return Daemon(app, settings.listen, vault, means.deeds, troubles)


async def _vault(
    settings: VaultSettings, clock: Clock, entropy: Entropy, stack: AsyncExitStack
) -> VaultClient:
    door = await stack.enter_async_context(_door(settings.ca_file))
    approle = settings.approle
    login = AppRoleLogin(
        approle.mount,
        lambda: read_secret(approle.role_id_file, "AppRole role id"),
        lambda: read_secret(approle.secret_id_file, "AppRole secret id"),
    )
    return VaultClient(
        door, settings.addresses, login, clock=clock, entropy=entropy, seconds=settings.seconds
    )


async def _issuer(settings: IssuerSettings, clock: Clock, stack: AsyncExitStack) -> OidcIssuer:
    door = await stack.enter_async_context(_door(settings.ca_file))
    secret_file = settings.client_secret_file
    dialect = Dialect(
        url=settings.url,
        client_id=settings.client_id,
        client_secret=read_secret(secret_file, "client secret") if secret_file else None,
        audience_parameter=settings.audience_parameter,
        unclear_rule=UnclearRule(settings.unclear_answer),
        seconds=settings.seconds,
        refresh_seconds=settings.refresh_seconds,
    )
    return OidcIssuer(dialect, door, clock)


def _enrolment(settings: IssuerSettings, issuer: OidcIssuer) -> Enrolment:
    roles = {name: ScopeSet.of(role.scopes) for name, role in settings.roles.items()}
    return Enrolment(issuer, settings.credkey_claim, roles)


def _rules(settings: Settings) -> MintingRules:
    audiences = {
        (name, role_name): tuple(role.audiences)
        for name, issuer in settings.issuers.items()
        for role_name, role in issuer.roles.items()
    }
    only_one = frozenset(
        at for at in audiences if settings.issuers[at[0]].audience_parameter == "resource"
    )
    return MintingRules(audiences, settings.tokens.renew_after, only_one)


def _strangers(settings: Settings, clock: Clock) -> Strangers:
    limits = settings.limits
    return Strangers(Allowance(limits.per_address_per_second, limits.per_address_burst), clock)


def _door(ca_file: Path | None) -> OutgoingHttp:
    try:
        return OutgoingHttp(str(ca_file) if ca_file is not None else None)
    except (OSError, ssl.SSLError):
        raise BadSettings(f"{ca_file}: this does not hold certificates (PEM).") from None


def _server_tls(listen: Listen) -> ssl.SSLContext | None:
    if listen.tls is None:
        return None
    check_private(listen.tls.key_file, "TLS key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listen.tls.certificate_file, listen.tls.key_file)
    except (OSError, ssl.SSLError):
        raise BadSettings(
            f"{listen.tls.certificate_file}: this certificate and its key do not work together."
        ) from None
    return context


async def _listening(site: web.TCPSite, listen: Listen) -> None:
    try:
        await site.start()
    except OSError as error:
        raise BadSettings(
            f"Cannot listen on {listen.address} port {listen.port} ({error.strerror})."
        ) from None


async def _for_ever(task: Coroutine[Any, Any, None]) -> None:
    """Treat a plain return as a failure too: a task that silently ended is a fault."""
    await task
    raise RuntimeError("a task that should run for ever has ended")
