"""`credbroker agent --sessions`: joins a host to its broker, and keeps its people's tokens fresh."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker.client.address import parse_address
from credbroker.client.batches import Batches
from credbroker.client.streams import Door
from credbroker.config.load import read_secret
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret
from credbroker.edge.asking import BrokerAsker
from credbroker.edge.engine import Engine
from credbroker.edge.job.log import Log
from credbroker.edge.orders import Asker
from credbroker.edge.sessions import host_key, settings
from credbroker.edge.sessions.accounts import Accounts, OwnOnly, UserOf, user_of
from credbroker.edge.sessions.clerk import Clerk
from credbroker.edge.sessions.counter import Counter
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.host_key import JoinedHost
from credbroker.edge.sessions.leased import Leased
from credbroker.edge.sessions.logged_in import LoggedIn
from credbroker.edge.sessions.settings import SessionsSettings
from credbroker.edge.sessions.source import Say, SessionOrders
from credbroker.edge.sessions.standing import Standing
from credbroker.edge.sessions.written import Written
from credbroker.edge.writing import Writing
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.hardening import forbid_core_dumps
from credbroker.host.systemd import Watchdog, notify
from credbroker.ports import Clock

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Join this host, with `--join`, or serve its people until told to stop; raise what went wrong."""
    forbid_core_dumps()
    log = Log(SystemClock(), sys.stderr)
    wanted = settings.load(Path(args.settings) if args.settings else settings.DEFAULT_FILE)
    _make_folder(wanted.state_folder)
    if args.join:
        log.say("joined", host=asyncio.run(_joined(wanted, Path(args.join))))
        return 0
    if os.geteuid() == 0:
        os.setgroups([])  # who acts for a person must not have groups that the person has not
    asyncio.run(_until_told(wanted, log.say))
    return 0


async def _joined(wanted: SessionsSettings, token_file: Path) -> str:
    async with host_at(wanted, lambda: None) as host:
        return await join(wanted, host, token_file)


async def join(wanted: SessionsSettings, host: Host, token_file: Path) -> str:
    """Trade the join token in a file for the right of a key made here; return the host's name.

    The key is on disk first: where the answer is lost, the same trade is asked for again.

    Raises:
        CredbrokerError: The broker refuses or cannot be reached; or a file is unfit.
    """
    token = read_secret(token_file, "join token")
    entropy = SystemEntropy()
    key = host_key.key_to_join_with(wanted.state_folder, entropy)
    name = await host.join(token, host_key.public_part(key))
    host_key.keep(wanted.state_folder, JoinedHost(name, key), entropy)
    return name


async def _until_told(wanted: SessionsSettings, say: Say) -> None:
    serving = asyncio.current_task()
    assert serving is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    clock, door = SystemClock(), _door(wanted)
    tokens = BrokerAsker(Batches(door.send, clock, SystemEntropy()))
    with contextlib.suppress(asyncio.CancelledError):
        async with host_at(wanted, _assertion(wanted)) as host:
            try:
                await serve(wanted, host, tokens, clock, say)
            finally:
                await door.close()
    say("told to stop", kept="the token files")


async def serve(
    wanted: SessionsSettings,
    host: Host,
    tokens: Asker,
    clock: Clock,
    say: Say,
    *,
    look_up: UserOf = user_of,
) -> None:
    """Serve this host's people until cancelled; `look_up` says who they are.

    Raises:
        LocalFileUnfit: The socket cannot be made, or another agent serves this host already.
    """
    entropy = SystemEntropy()
    written = Written(wanted.state_folder, entropy)
    orders = SessionOrders(written, clock, say)
    standing = Standing(host, orders, clock, entropy, say)
    accounts = Accounts(clock, look_up)
    asker = OwnOnly(Leased(tokens, host, written, clock, say), orders.ordered_by, accounts)
    clerk = Clerk(host, orders, standing, accounts, folder=wanted.sessions_folder)
    counter = Counter(wanted.socket, clerk.answer, say)
    people = LoggedIn(wanted.sessions_folder, clock, orders.log_in)
    with (
        _alone(wanted.state_folder),
        contextlib.closing(accounts),
        contextlib.closing(Writing(entropy)) as writing,
        counter.bound() as bound,
    ):
        engine = Engine(orders, lambda _: asker, writing, clock, entropy)
        notify("READY=1")
        say("serving", broker=wanted.broker, people=wanted.sessions_folder)
        async with asyncio.TaskGroup() as group:
            group.create_task(people.run())
            group.create_task(standing.run(wanted.look_seconds))
            group.create_task(engine.run())
            group.create_task(counter.run(bound))
            group.create_task(Watchdog(clock, [lambda: engine.passes, lambda: people.looks]).run())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second agent from taking the files of this one for foreign; the kernel lets go at any end."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalFileUnfit(
                "Another agent already serves this host's people.",
                "Stop it first: systemctl stop credbroker-sessions",
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def host_at(wanted: SessionsSettings, assertion: host_key.Assertion) -> AsyncIterator[Host]:
    """Lend this host at its broker; its connections are closed at the end."""
    door, proof = _door(wanted), _door(wanted)
    proof.most_kept = 0
    if wanted.certificate is not None:
        proof.own = (wanted.certificate.certificate_file, wanted.certificate.key_file)
    try:
        yield Host(door.send, proof.send, SystemClock(), SystemEntropy(), assertion)
    finally:
        await door.close()


def _door(wanted: SessionsSettings) -> Door:
    ca_file = str(wanted.ca_file) if wanted.ca_file is not None else None
    return Door(parse_address(wanted.broker), ca_file)


def _assertion(wanted: SessionsSettings) -> host_key.Assertion:
    if wanted.certificate is not None:
        return lambda: None
    joined = host_key.kept(wanted.state_folder)
    clock, entropy = SystemClock(), SystemEntropy()

    def signed() -> Secret:
        return joined.assertion(wanted.broker, clock.now(), entropy)

    return signed


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as failure:
        raise LocalFileUnfit(f"{folder} cannot be made: {failure.strerror}.") from None
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise LocalFileUnfit(
            f"{folder} must belong to who runs this agent, and to nobody else.",
            f"Use: chown root {folder}; chmod 700 {folder}",
        )
