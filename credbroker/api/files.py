"""`/api/v1/communities/{name}/tokens:files`: tokens for files in bulk, for services of a community.

A service shows itself as at the token endpoint, in its header. The answer is one line for each entry,
in their order, and begins while later entries are still being signed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import structlog
from aiohttp import web

from credbroker.api.asked_files import read_files
from credbroker.api.bodies import body_of
from credbroker.api.client_callers import ClientCallers
from credbroker.api.lines import answer_in_lines
from credbroker.api.operations import Operation
from credbroker.api.problems import REQUEST_ID
from credbroker.api.strangers import Strangers
from credbroker.broker.issuing.communities import CommunityIssuer
from credbroker.broker.issuing.files import FileOutcome, FileSigned
from credbroker.domain.errors import NotFound
from credbroker.ports import Clock
from credbroker.wire.files import (
    FILES,
    LARGEST_BYTES,
    AskFiles,
    FileAnswered,
    write_problem_line,
    write_token,
    write_url,
)
from credbroker.wire.oauth import Form
from credbroker.wire.problem import problem_of

_NO_FORM = Form({})

log = structlog.get_logger(__name__)


class FilesApi:
    """Takes the entries apart and writes the lines, for all communities that are served."""

    def __init__(
        self, communities: Sequence[CommunityIssuer], strangers: Strangers, clock: Clock
    ) -> None:
        """Serve `communities`; `strangers` counts who shows no good secret."""
        self._communities: Mapping[str, CommunityIssuer] = {one.name: one for one in communities}
        self._callers = {
            one.name: ClientCallers(one.name, one.granting.clients, strangers, clock)
            for one in communities
        }

    def operations(self) -> list[Operation]:
        """Return all that is offered here; nothing where no community is served."""
        if not self._communities:
            return []
        return [
            Operation("POST", FILES, "getFileTokens",
                      "Get tokens for files, or URLs with the token in them, a line for each.",
                      self.tokens, takes=AskFiles, line=FileAnswered, shows="client"),
        ]  # fmt: skip

    async def tokens(self, request: web.Request) -> web.StreamResponse:
        """Get a token or URL, or the reason why there is none, for each entry."""
        name = request.match_info["name"]
        if name not in self._communities:
            raise NotFound("No such community is served here.")
        caller = self._callers[name].identify(request, _NO_FORM)
        entries = read_files(await body_of(request, LARGEST_BYTES))
        outcomes = self._communities[name].files.sign(caller, entries)
        return await answer_in_lines(request, _written(outcomes, request[REQUEST_ID]))


async def _written(
    outcomes: AsyncIterator[list[FileOutcome]], request_id: str
) -> AsyncIterator[str]:
    n = 0
    async for piece in outcomes:
        yield "".join([_line(n + place, one, request_id) for place, one in enumerate(piece)])
        n += len(piece)


def _line(n: int, outcome: FileOutcome, request_id: str) -> str:
    if not isinstance(outcome, FileSigned):
        log.info("refused_entry", error=outcome.code, why=outcome.sentence)
        return write_problem_line(n, problem_of(outcome, request_id))
    if outcome.url is not None:
        return write_url(n, outcome.token, outcome.url)
    scope = outcome.token.scope if outcome.is_wider else None
    return write_token(n, outcome.token, scope)
