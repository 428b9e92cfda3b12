"""What a person chooses about mails, as messages of the native API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from credbroker.wire.message import Message, Request

NOTICES = "/api/v1/notices"


@dataclass(frozen=True)
class ChooseNotices(Request):
    """Choose whether mails are sent about one's logins at this issuer."""

    mail: bool


@dataclass(frozen=True)
class NoticesChosen(Message):
    """Whether mails are wanted, and where they go: nowhere without an `address`.

    `offered` is False where this broker sends no mails at all.
    """

    mail: bool
    offered: bool
    address: Optional[str] = None
