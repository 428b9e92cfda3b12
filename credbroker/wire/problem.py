"""An error as it travels from the broker to a client, and back into the same kind of error.

The body is one JSON object: `error` (the stable word), `message` (one sentence), `remedy` (what to
do) and `request_id`, which finds the request in the broker's log and audit trail. In the answer to a
batch the same object stands for each entry that failed.
"""

from __future__ import annotations

from typing import Optional

from credbroker.domain.errors import (
    BrokerFault,
    BrokerUnreachable,
    CredbrokerError,
    Malformed,
    leaves,
)
from credbroker.wire.native import Problem

_KINDS = {kind.code: kind for kind in leaves()}


def problem_of(error: CredbrokerError, request_id: Optional[str]) -> Problem:
    """Return an error as a message."""
    return Problem(error.code, error.sentence, error.remedy, request_id)


def error_of(problem: Problem) -> CredbrokerError:
    """Return a message as an error; one that only a newer broker knows is a `BrokerFault`."""
    error = _KINDS.get(problem.error, BrokerFault)(problem.message, problem.remedy)
    if problem.request_id is not None:
        error.request_id = problem.request_id
    return error


def write_problem(error: CredbrokerError, request_id: str) -> bytes:
    """Write the JSON body for an error."""
    return problem_of(error, request_id).write()


def read_problem(status: int, body: bytes) -> CredbrokerError:
    """Make the client's error from an answer that was no success.

    An answer that is not the broker's own (from a proxy, say) becomes `BrokerUnreachable`: its
    text is never repeated.
    """
    try:
        problem = Problem.read(body)
    except Malformed:
        problem = None
    if problem is None or problem.error not in _KINDS:
        return BrokerUnreachable(f"Something other than the broker answered, with status {status}.")
    return error_of(problem)
