"""What is checked of every answer beside the form that a document gives it; schemathesis loads this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import schemathesis

import credbroker

# A refusal names the scopes and audiences that a known client may not have.
_NAMED = {"scope", "audience"}
# Values are made of words of the program, too, and such a word may stand in any sentence of ours.
_OURS = "\n".join(
    one.read_text("utf-8") for one in Path(str(credbroker.__file__)).parent.rglob("*.py")
)
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
