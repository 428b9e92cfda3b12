"""An HTTP answer as tests look at it, whoever asked for it and however."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, which is a JSON object."""
        read = json.loads(self.body)
        assert isinstance(read, dict)
        return read

    @property
    def error(self) -> str:
        """The stable word of a problem; empty for a success."""
        return "" if self.status < 400 else str(self.json["error"])
