"""`/api/v1/containment`: what operators end in an incident, and what is contained now."""

from __future__ import annotations

from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.api.callers import identify
from credbroker.api.operations import Operation, answer_with
from credbroker.api.strangers import Strangers
from credbroker.broker.leasing import Leasing
from credbroker.broker.responding import Containment, Responding, Wanted
from credbroker.domain.errors import Malformed
from credbroker.domain.revocations import Kind
from credbroker.wire import native


class ContainmentApi:
    """Takes requests apart, calls one deed each, writes the answers."""

    def __init__(self, responding: Responding, leasing: Leasing, strangers: Strangers) -> None:
        """Serve `responding`; `strangers` counts who is nobody."""
        self._responding = responding
        self._leasing = leasing
        self._strangers = strangers

    def operations(self) -> list[Operation]:
        """Return all that is offered here."""
        return [
            Operation("POST", native.CONTAINMENT, "contain",
                      "End leases everywhere, as an operator; or rehearse it.",
                      self.contain, takes=native.AskContainment, gives=native.ContainmentDone),
            Operation("GET", native.CONTAINMENT, "listContained",
                      "What is contained now, for operators.",
                      self.listed, gives=native.ContainedNow),
        ]  # fmt: skip

    async def contain(self, request: web.Request) -> web.Response:
        """End leases, or say what would end."""
        caller = await identify(request, self._leasing, self._strangers)
        asked = native.AskContainment.read(await body_of(request))
        wanted = Wanted(_kind(asked.kind), asked.name, asked.reason, asked.before)
        deed = self._responding.rehearse if asked.dry_run else self._responding.contain
        return answer_with(_told(asked, await deed(caller, wanted)))

    async def listed(self, request: web.Request) -> web.Response:
        """List what is contained."""
        caller = await identify(request, self._leasing, self._strangers)
        contained = await self._responding.contained(caller)
        return answer_with(
            native.ContainedNow(
                [
                    native.Contained(kind.value, name, mark.before, mark.kept_until)
                    for kind, marks in contained.items()
                    for name, mark in sorted(marks.items())
                ]
            )
        )


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError:
        kinds = ", ".join(kind.value for kind in Kind)
        raise Malformed(f"The kind must be one of these: {kinds}.") from None


def _told(asked: native.AskContainment, done: Containment) -> native.ContainmentDone:
    return native.ContainmentDone(
        kind=asked.kind,
        name=done.name,
        before=done.before,
        holds_by=done.holds_by,
        dry_run=asked.dry_run,
        leases=done.hits.leases,
        jobs=done.hits.jobs,
        people=list(done.hits.people),
        all_counted=done.hits.complete,
    )
