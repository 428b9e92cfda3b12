"""Keeps many files fresh: orders in, fresh files out.

One straight line for each order: the plan says that it is due, its server is asked, the token is
written, whoever waits for it is told. Servers are asked side by side, each with its own bound; files
are written side by side, each flushed. What goes wrong with one order is told to the source, and is
nobody else's trouble. No file is ever taken away.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from credbroker.delivery import whole_file
from credbroker.domain.errors import BrokerFault, CredbrokerError
from credbroker.domain.tokens import AccessToken
from credbroker.edge.hooks import Hooks
from credbroker.edge.many import Batch, Plan, is_same_wish
from credbroker.edge.orders import Asker, Fresh, Order, Place, Source
from credbroker.edge.plan import Held
from credbroker.edge.waiting import nap
from credbroker.ports import Clock, Entropy

SLICE_SECONDS = 5.0
"""How long a wait may go without a look at the clock: a machine that slept wakes late otherwise."""
_FOUND_RENEWAL = 0.5
_FOUND_SPREAD = 0.1


class Writer(Protocol):
    """Who writes files; `edge.writing.Writing` is the real one."""

    async def write(self, place: Place, token: AccessToken) -> whole_file.Identity:
        """Put the token into its file. Raises `LocalFileUnfit`; what was there stays then."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What the engine itself put into a file last, as far as it must know that again."""

    file: whole_file.Identity
    expires_at: datetime.datetime
    order: Order


class Engine:
    """One source's orders, kept; `run` is its whole life."""

    def __init__(
        self,
        source: Source,
        asker_of: Callable[[str], Asker],
        writer: Writer,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Keep the orders of `source`; `asker_of` returns the way to a server, by its name."""
        self._source = source
        self._asker_of = asker_of
        self._writer = writer
        self._clock = clock
        self._entropy = entropy
        self._hooks = Hooks(clock)
        self._plan = Plan(entropy.fraction)
        self._written: dict[str, _Written] = {}
        self._stirred = asyncio.Event()
        self._changed = True
        self._rests_until = float("inf")
        self.passes = 0
        """How many passes were finished; a program that stands still makes none."""

    async def run(self) -> None:
        """Keep the files fresh until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            while True:
                self._stirred.clear()
                self._pass(group)
                self.passes += 1
                await self._rest()

    async def _watch(self) -> None:
        while True:
            await self._source.changed()
            self._changed = True
            self._stirred.set()

    async def _rest(self) -> None:
        """Wait until something is due, or something happened."""
        now = self._clock.elapsed()
        self._rests_until = min(now + SLICE_SECONDS, max(now, self._plan.wakes_at(now)))
        await nap(self._rests_until - now, self._clock, until=self._stirred)

    def _stir_if_due(self) -> None:
        """End the rest if something is due sooner than it was when the rest began."""
        if self._plan.wakes_at(self._clock.elapsed()) < self._rests_until:
            self._stirred.set()

    def _pass(self, group: asyncio.TaskGroup) -> None:
        now = self._clock.elapsed()
        if self._changed:
            self._changed = False
            self._look_again(now)
        for batch in self._plan.take(now, self._most_of):
            group.create_task(self._ask(group, batch))

    def _most_of(self, server: str) -> int:
        try:
            with _faults_in_words():
                return self._asker_of(server).most_at_once
        except CredbrokerError:
            return 1  # to ask it will say why there is no way to it

    def _look_again(self, now: float) -> None:
        orders = self._source.orders()
        self._written = {key: one for key, one in self._written.items() if key in orders}
        for order in self._plan.stand(orders):
            token = self._found(order)
            if token is not None:
                self._plan.found(order, self._held_already(token, now), now)

    def _found(self, order: Order) -> AccessToken | None:
        try:
            with _faults_in_words():
                return self._source.found(order)
        except CredbrokerError:
            return None

    def _failed(self, order: Order, error: CredbrokerError) -> None:
        with contextlib.suppress(CredbrokerError), _faults_in_words():
            self._source.failed(order, error)

    async def _ask(self, group: asyncio.TaskGroup, batch: Batch) -> None:
        answers: Sequence[Fresh | CredbrokerError] | None = None
        try:
            answers = await self._answers(batch)
        except CredbrokerError as error:
            self._plan.unanswered(batch, error, self._clock.elapsed())
            for order in batch.orders:
                self._failed(order, error)
        else:
            self._plan.answered(batch)
            for order, answer in zip(batch.orders, answers, strict=True):
                group.create_task(self._take(order, answer))
        self._stir_if_due()

    async def _answers(self, batch: Batch) -> Sequence[Fresh | CredbrokerError]:
        with _faults_in_words():
            answers = await self._asker_of(batch.server).ask(batch.orders)
        if len(answers) != len(batch.orders):
            raise BrokerFault(f"The server {batch.server} answered with too few or many tokens.")
        return answers

    async def _take(self, order: Order, answer: Fresh | CredbrokerError) -> None:
        """Do with one order's answer what is to be done; whatever fails is that order's."""
        try:
            with _faults_in_words():
                held = await self._delivered(order, answer)
        except CredbrokerError as error:
            self._plan.failed(order, error, self._clock.elapsed())
            self._failed(order, error)
        else:
            self._plan.delivered(order, held, self._clock.elapsed())
        self._stir_if_due()

    async def _delivered(self, order: Order, answer: Fresh | CredbrokerError) -> Held:
        """Put a token where it belongs and tell who waits for it; return what the file holds then."""
        if isinstance(answer, CredbrokerError):
            raise answer
        fetched_at, token = self._clock.elapsed(), answer.token
        held = Held(
            fetched_at,
            fetched_at + answer.renew_seconds,
            fetched_at + token.seconds_left(token.obtained_at),
        )
        if self._plan.is_wanted(order) and not self._is_kept(order, token):
            file = await self._writer.write(order.place, token)
            self._written[order.id] = _Written(file, token.expires_at, order)
            self._source.delivered(order, answer)
            await self._tell(order)
        return held

    async def _tell(self, order: Order) -> None:
        if order.hook is None:
            return
        try:
            await self._hooks.run(order.hook)
        except CredbrokerError as error:
            self._failed(order, error)

    def _is_kept(self, order: Order, new: AccessToken) -> bool:
        """True if our file is there still and its token lives as long as `new` or longer.

        A replica that has not seen the last refresh yet may answer with an older token. One that was
        got for another wish is never kept, however long it lives.
        """
        last = self._written.get(order.id)
        if last is None or not is_same_wish(last.order, order) or new.expires_at > last.expires_at:
            return False
        return whole_file.is_there(order.place.path, last.file)

    def _held_already(self, token: AccessToken, now: float) -> Held:
        """Judge a token that was found: nobody said when to renew it.

        How old it is, is by this machine's clock at both ends, and how long it lives by the issuer's,
        so a clock that is off makes no file late.
        """
        age = max(0.0, (self._clock.now() - token.obtained_at).total_seconds())
        since = max(token.issued_at, token.obtained_at)
        life = (token.expires_at - since).total_seconds()
        renewal = life * (_FOUND_RENEWAL + _FOUND_SPREAD * self._entropy.fraction())
        return Held(now - age, now - age + renewal, now - age + life)


@contextlib.contextmanager
def _faults_in_words() -> Iterator[None]:
    """Turn what nobody foresaw into an error of what was done: it ends no other order's care."""
    try:
        yield
    except CredbrokerError:
        raise
    except Exception as fault:
        raise BrokerFault(
            f"Something went wrong that nobody foresaw: {type(fault).__name__}."
        ) from fault
