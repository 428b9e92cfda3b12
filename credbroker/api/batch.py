"""`/api/v1/tokens:batch`: access tokens for many leases in one request.

Each entry has a lease, an answer and a line in the audit trail of its own: what is refused to one, or
waits for its issuer, befalls no other. All are answered within `READY_SECONDS`; a token that is still
on its way by then is there for who asks again. Who takes lines gets each as soon as it is there. Each
lease is recognised once, and one that is unknown counts against the address like a request of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog
from aiohttp import web

from credbroker.api.answering import record_refusal
from credbroker.api.bodies import body_of
from credbroker.api.callers import origin
from credbroker.api.lines import Lines, answer_in_lines, wants_lines
from credbroker.api.native import given_of, wanted_of
from credbroker.api.operations import Operation, answer_with
from credbroker.api.problems import REQUEST_ID
from credbroker.api.strangers import Strangers
from credbroker.broker.leasing import Caller, Leasing
from credbroker.broker.minting import Minting
from credbroker.broker.running import Means
from credbroker.domain.errors import (
    BrokerFault,
    CredbrokerError,
    GrantLost,
    Malformed,
    Refused,
)
from credbroker.domain.secret import Secret
from credbroker.wire import native
from credbroker.wire.problem import problem_of

READY_SECONDS = 2.0
"""How long the slowest entry keeps the others waiting."""
LARGEST_BATCH_BYTES = 4 * 1024 * 1024
# While a lease is looked up it counts as unknown: more at once would use an address's allowance up.
_LOOKED_UP_AT_ONCE = 16

Put = Callable[[int, native.TokenOrProblem], None]
"""Takes an entry's answer, with its place."""

log = structlog.get_logger(__name__)


class BatchApi:
    """Takes a batch apart, calls one deed for each entry, puts the answers together."""

    def __init__(
        self, leasing: Leasing, minting: Minting, means: Means, *, strangers: Strangers
    ) -> None:
        """Mint for callers that `leasing` knows; `strangers` counts who is nobody."""
        self._leasing = leasing
        self._minting = minting
        self._audit = means.audit
        self._clock = means.clock
        self._strangers = strangers

    def operations(self) -> list[Operation]:
        """Return all that is offered here."""
        return [
            Operation("POST", native.TOKENS_BATCH, "getTokens",
                      "Get access tokens, each under a lease of its own.",
                      self.tokens, takes=native.AskTokens, gives=native.TokensGiven,
                      line=native.TokenLine, shows="nothing"),
        ]  # fmt: skip

    async def tokens(self, request: web.Request) -> web.StreamResponse:
        """Get an access token, or the reason why there is none, for each entry."""
        asked = await self._read(request)
        batch = _Batch(request, self._clock.elapsed() + READY_SECONDS)
        if wants_lines(request):
            return await self._in_lines(batch, asked.entries)
        answers: dict[int, native.TokenOrProblem] = {}
        await self._answer_all(batch, asked.entries, answers.__setitem__)
        given = native.TokensGiven([answers[place] for place in range(len(asked.entries))])
        return answer_with(given)

    async def _in_lines(
        self, batch: _Batch, entries: Sequence[native.AskUnder]
    ) -> web.StreamResponse:
        lines = Lines()

        def put(place: int, answer: native.TokenOrProblem) -> None:
            lines.put(native.write_line(place, answer))

        async def answer_all() -> None:
            try:
                await self._answer_all(batch, entries, put)
            finally:
                lines.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(answer_all())
            return await answer_in_lines(batch.request, lines.pieces())

    async def _answer_all(
        self, batch: _Batch, entries: Sequence[native.AskUnder], put: Put
    ) -> None:
        """Hand each entry's answer to `put`, with its place, as soon as it is there."""
        by_lease: dict[Secret, list[int]] = {}
        for place, entry in enumerate(entries):
            by_lease.setdefault(entry.lease_token, []).append(place)
        async with asyncio.TaskGroup() as group:
            for places in by_lease.values():
                mine = {place: entries[place] for place in places}
                group.create_task(self._under(batch, mine, put))

    async def _read(self, request: web.Request) -> native.AskTokens:
        try:
            return _asked(await body_of(request, LARGEST_BATCH_BYTES))
        except Malformed:
            self._strangers.count(request)  # no lease was seen that would speak for the asker
            raise

    async def _under(self, batch: _Batch, entries: Mapping[int, native.AskUnder], put: Put) -> None:
        """Answer the entries that show one lease."""
        caller = await self._caller(batch, next(iter(entries.values())))

        async def answer(place: int, entry: native.AskUnder) -> None:
            put(place, await self._answer(batch, caller, entry))

        await asyncio.gather(*(answer(place, entry) for place, entry in entries.items()))

    async def _caller(self, batch: _Batch, entry: native.AskUnder) -> Caller | CredbrokerError:
        request, digest = batch.request, entry.lease_token.digest().encode()
        async with batch.looking_up:
            try:
                with self._strangers.counted_unless_known(request, digest):
                    left = max(0.0, batch.answer_by - self._clock.elapsed())
                    return await self._leasing.identify(
                        entry.shown(), origin(request), seconds=left
                    )
            except CredbrokerError as error:
                return error
            except Exception:
                log.exception("broker_fault", path=request.path)
                return _fault()

    async def _answer(
        self, batch: _Batch, caller: Caller | CredbrokerError, entry: native.AskUnder
    ) -> native.TokenOrProblem:
        try:
            given = await self._given(batch, caller, entry)
            return native.TokenOrProblem(given=given, lease_id=entry.lease_id)
        except CredbrokerError as error:
            log.info("refused_entry", error=error.code, why=error.sentence)
            failed: CredbrokerError = error
        except Exception:
            log.exception("broker_fault", path=batch.request.path)
            failed = _fault()
        problem = problem_of(failed, batch.request[REQUEST_ID])
        return native.TokenOrProblem(problem=problem)

    async def _given(
        self, batch: _Batch, caller: Caller | CredbrokerError, entry: native.AskUnder
    ) -> native.TokenGiven:
        try:
            if isinstance(caller, CredbrokerError):
                raise caller
            return given_of(await self._minting.mint_access_token(caller, wanted_of(entry)))
        except (Refused, GrantLost) as error:
            await record_refusal(self._audit, batch.request, error, _id_of(entry))
            raise


class _Batch:
    """A request with many entries, and until when it is to be answered (`Clock.elapsed`)."""

    def __init__(self, request: web.Request, answer_by: float) -> None:
        self.request = request
        self.answer_by = answer_by
        self.looking_up = asyncio.Semaphore(_LOOKED_UP_AT_ONCE)


def _fault() -> CredbrokerError:
    return BrokerFault("Something went wrong inside the broker.")


def _asked(body: bytes) -> native.AskTokens:
    asked = native.AskTokens.read(body)
    if len(asked.entries) > native.MOST_IN_A_BATCH:
        raise Malformed(f"A batch has at most {native.MOST_IN_A_BATCH} entries.")
    return asked


def _id_of(entry: native.AskUnder) -> str | None:
    try:
        return entry.shown().id
    except Refused:
        return None
