"""An error as it travels from the broker to a client, and back into the same kind of error.

The body is one JSON object: `error` (the stable word), `message` (one sentence), `remedy` (what to
do) and `request_id`, which finds the request in the broker's log and audit trail.
"""

from __future__ import annotations

from credbroker.domain.errors import BrokerUnreachable, CredbrokerError, Malformed, leaves
from credbroker.wire.fields import parse_object, write_object

_KINDS = {kind.code: kind for kind in leaves()}


def write_problem(error: CredbrokerError, request_id: str) -> bytes:
    """Write the JSON body for an error."""
    return write_object(
        {
            "error": error.code,
            "message": error.sentence,
            "remedy": error.remedy,
            "request_id": request_id,
        }
    )


def read_problem(status: int, body: bytes) -> CredbrokerError:
    """Make the client's error from an answer that was no success.

    An answer that is not the broker's own (from a proxy, say) becomes `BrokerUnreachable`: its
    text is never repeated.
    """
    try:
        fields = parse_object(body, "the answer")
        kind = _KINDS[fields.text("error")]
        sentence = fields.text("message")
        remedy = fields.optional("remedy", fields.text)
        request_id = fields.optional("request_id", fields.text)
    except (Malformed, KeyError):
        return BrokerUnreachable(f"Something other than the broker answered, with status {status}.")
    error = kind(sentence, remedy)
    if request_id is not None:
        error.request_id = request_id
    return error
