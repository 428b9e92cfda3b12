"""`credbroker agent --list FILE`: keeps the tokens of services fresh, as a file lists them.

What is listed anew is served at once; SIGHUP reads the list again. A list or a lease file that has
become faulty is told of, and what it said before goes on. A lease file that changes is used as soon
as it does.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import hashlib
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from credbroker.client.address import parse_address
from credbroker.client.batches import Batches
from credbroker.client.streams import Door
from credbroker.delivery import lease_file, token_file, token_forms, whole_file
from credbroker.delivery.lease_file import LeaseFile, login_remedy
from credbroker.domain.errors import (
    CredbrokerError,
    GrantLost,
    LeaseEnded,
    LeaseUnknown,
    LocalFileUnfit,
    Malformed,
)
from credbroker.domain.tokens import AccessToken
from credbroker.edge.asking import BrokerAsker
from credbroker.edge.engine import Engine
from credbroker.edge.job.log import Log
from credbroker.edge.list_file import Listed, read
from credbroker.edge.orders import Asker, Fresh, Order
from credbroker.edge.waiting import nap
from credbroker.edge.writing import Writing
from credbroker.host import systemd
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.hardening import forbid_core_dumps
from credbroker.ports import Clock, Entropy
from credbroker.wire.fields import write_instant
from credbroker.wire.jwt import read_access_token

LOOK_SECONDS = 5.0
"""How often is looked whether a lease file has changed."""

Say = Callable[..., None]


class ListedSource:
    """The orders of one list. Follows `edge.orders.Source`."""

    def __init__(self, file: Path, clock: Clock, entropy: Entropy, say: Say) -> None:
        """Read the list; raise `BadSettings` if it is faulty. What happens later is said."""
        self._file = file
        self._clock = clock
        self._entropy = entropy
        self._say = say
        self._listed: Mapping[str, Listed] = read(file)
        self._leases: dict[Path, LeaseFile] = {}
        self._seen: dict[Path, tuple[int, ...]] = {}
        self._told = asyncio.Event()
        self._doors: dict[str, Door] = {}
        self._askers: dict[str, Asker] = {}

    def reload(self) -> None:
        """Read the list again; if it has become faulty, go on with what it said before."""
        try:
            self._listed = read(self._file)
        except CredbrokerError as error:
            self._say("kept the list", why=error.sentence)
            return
        self._say("read the list", tokens=len(self._listed))
        self._told.set()

    def orders(self) -> Mapping[str, Order]:
        """Return an order for each token whose lease can be read."""
        for path in self._lease_paths():
            if self._seen.get(path) != _which(path):
                self._read_lease(path)
        return {
            name: _order(name, one, lease)
            for name, one in self._listed.items()
            if (lease := self._leases.get(one.settings.lease)) is not None
        }

    def found(self, order: Order) -> AccessToken | None:
        """Return the token that lies there, if it is what the list wants, mode and owner included."""
        place = order.place
        try:
            lies = place.path.lstat()
            content = whole_file.read(place.path, private=False, owner=place.owner)
            secret = None if content is None else token_forms.read(content, place.form)
            if secret is None:
                return None
            written = datetime.datetime.fromtimestamp(lies.st_mtime, datetime.UTC)
            token = read_access_token(secret, written)
        except (OSError, ValueError, OverflowError, LocalFileUnfit, Malformed):
            return None  # among them is a time that its owner has set and no calendar has
        is_ours = lies.st_mode & 0o7777 == place.mode and (
            place.owner is None or (lies.st_uid, lies.st_gid) == place.owner
        )
        left = token.seconds_left(self._clock.now())
        fits = _is_for(token, order) and left > order.minimum_seconds
        return token if is_ours and fits else None

    async def changed(self) -> None:
        """Return when the list was read again, or a lease file is another one."""
        while not self._told.is_set() and not self._has_new_lease():
            await nap(LOOK_SECONDS, self._clock, until=self._told)
        self._told.clear()

    def delivered(self, order: Order, fresh: Fresh) -> None:
        """Say so; put the lease token beside it, where the list wants that."""
        token = fresh.token
        expires = write_instant(token.expires_at)
        self._say("renewed", token=order.id, jti=token.jti, expires=expires)
        place = self._listed[order.id].vault_token if order.id in self._listed else None
        owner = order.place.owner
        if place is not None and not token_file.holds(place, order.secret, owner):
            try:
                token_file.write(place, order.secret, self._entropy, owner=owner)
            except LocalFileUnfit as error:
                self.failed(order, error)

    def failed(self, order: Order, error: CredbrokerError) -> None:
        """Say so, with what to do where somebody must do something."""
        remedy = error.remedy
        lease = next(
            (one for one in self._leases.values() if one.lease_token == order.secret), None
        )
        if lease is not None and isinstance(error, (GrantLost, LeaseEnded, LeaseUnknown)):
            remedy = login_remedy(lease)
        self._say(
            "kept", token=order.id, why=error.sentence, remedy=remedy, request=error.request_id
        )

    def asker_of(self, server: str) -> Asker:
        """Return the way to a server, by the name it has in orders."""
        return self._askers[server]

    async def close(self) -> None:
        """Close what is open to brokers."""
        for door in self._doors.values():
            await door.close()

    def _lease_paths(self) -> set[Path]:
        return {one.settings.lease for one in self._listed.values()}

    def _read_lease(self, path: Path) -> None:
        """Read a lease file; one that cannot be used leaves what is known of it."""
        self._seen[path] = _which(path)
        try:
            lease = lease_file.read(path)
            self._open_door(lease)
            self._leases[path] = lease
        except CredbrokerError as error:
            self._say("cannot use a lease", why=error.sentence, remedy=error.remedy)

    def _open_door(self, lease: LeaseFile) -> None:
        name = _server(lease)
        if name not in self._askers:
            door = Door(parse_address(lease.broker), lease.ca_file, lease.ca_pem)
            self._doors[name] = door
            self._askers[name] = BrokerAsker(Batches(door.send, self._clock, self._entropy))

    def _has_new_lease(self) -> bool:
        return any(self._seen.get(path) != _which(path) for path in self._lease_paths())


def run(args: argparse.Namespace) -> int:
    """Keep what the list names until told to stop.

    Raises:
        BadSettings: The list is faulty.
    """
    forbid_core_dumps()
    clock, entropy = SystemClock(), SystemEntropy()
    asyncio.run(_run(Path(args.list), clock, entropy, Log(clock, sys.stderr).say))
    return 0


async def _run(file: Path, clock: Clock, entropy: Entropy, say: Say) -> None:
    source, writing = ListedSource(file, clock, entropy, say), Writing(entropy)
    engine = Engine(source, source.asker_of, writing, clock, entropy)
    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    assert running is not None
    loop.add_signal_handler(signal.SIGHUP, source.reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.run())
            group.create_task(systemd.Watchdog(clock, [lambda: engine.passes]).run())
            systemd.notify("READY=1")
    except asyncio.CancelledError:
        systemd.notify("STOPPING=1")
        say("told to stop", kept="the token files")
    finally:
        writing.close()
        await source.close()


def _order(name: str, one: Listed, lease: LeaseFile) -> Order:
    wanted = one.settings
    return Order(
        name,
        one.place,
        _server(lease),
        lease.lease_token,
        scopes=None if wanted.scopes is None else tuple(wanted.scopes),
        audiences=None if wanted.audiences is None else tuple(wanted.audiences),
        minimum_seconds=wanted.minimum_seconds,
        longest_seconds=wanted.longest_seconds,
        hook=one.hook,
    )


def _server(lease: LeaseFile) -> str:
    """Return a name for a broker together with whom to trust about it."""
    trusted = lease.ca_file or hashlib.sha256((lease.ca_pem or "").encode()).hexdigest()[:12]
    return f"{lease.broker} {trusted}"


def _is_for(token: AccessToken, order: Order) -> bool:
    """True if the token carries just what is ordered; what is left open fits as it is."""
    scopes, audiences = order.scopes, order.audiences
    return (scopes is None or set(token.scopes.rights().texts()) == set(scopes)) and (
        audiences is None or set(token.audiences) == set(audiences)
    )


def _which(path: Path) -> tuple[int, ...]:
    """Return which file it is and when it last changed in any way; nothing if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
