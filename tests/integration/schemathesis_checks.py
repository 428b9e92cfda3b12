"""What is checked of every answer beside the form that a document gives it; schemathesis loads this."""

from __future__ import annotations

from typing import Any

import schemathesis

from credbroker.wire.exchange import ACCESS_TOKEN_TYPE
from credbroker.wire.issuer_documents import GRANT_TYPES
from credbroker.wire.oauth import JWT_TYPE, REFRESH_TOKEN_TYPE

# A refusal names the scopes and audiences that a known client may not have.
_NAMED = {"scope", "audience"}
_OURS = {*GRANT_TYPES, ACCESS_TOKEN_TYPE, JWT_TYPE, REFRESH_TOKEN_TYPE}
_SHORT = 6


@schemathesis.check
def nothing_is_echoed(_context: Any, response: Any, case: Any) -> None:
    """No parameter's value stands in a refusal."""
    if response.status_code < 400 or not isinstance(case.body, dict):
        return
    said = response.content.decode("utf-8", "replace")
    for name, value in case.body.items():
        if name not in _NAMED and isinstance(value, str) and len(value) >= _SHORT:
            assert value in _OURS or value not in said, f"the value of {name} comes back"
