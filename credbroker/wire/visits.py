"""A person's visit to the page of their grants, as it travels sealed in cookies: begun, and let in."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from credbroker.wire.fields import parse_object, write_instant, write_object


@dataclass(frozen=True)
class BegunVisit:
    """What a browser takes along to the issuer; `state` comes back with the issuer's answer."""

    state: str
    issuer: str
    begun_at: datetime.datetime

    def write(self) -> bytes:
        """Write it, to be sealed."""
        return write_object(
            {"state": self.state, "issuer": self.issuer, "begun_at": write_instant(self.begun_at)}
        )

    @classmethod
    def read(cls, content: bytes) -> BegunVisit:
        """Read what `write` wrote; raise `Malformed` if an unlike version did."""
        fields = parse_object(content, "The visit")
        return cls(fields.text("state"), fields.text("issuer"), fields.instant("begun_at"))


@dataclass(frozen=True)
class Visitor:
    """Who was let in: a person as the issuer named them (`iss`, `sub`, credkey), and since when.

    `visit` is the visit's id, by which the trail tells it from others.
    """

    visit: str
    issuer: str
    issuer_url: str
    subject: str
    credkey: str
    since: datetime.datetime

    def write(self) -> bytes:
        """Write it, to be sealed."""
        return write_object(
            {
                "visit": self.visit,
                "issuer": self.issuer,
                "issuer_url": self.issuer_url,
                "subject": self.subject,
                "credkey": self.credkey,
                "since": write_instant(self.since),
            }
        )

    @classmethod
    def read(cls, content: bytes) -> Visitor:
        """Read what `write` wrote; raise `Malformed` if an unlike version did."""
        fields = parse_object(content, "The visitor")
        return cls(
            visit=fields.text("visit"),
            issuer=fields.text("issuer"),
            issuer_url=fields.text("issuer_url"),
            subject=fields.text("subject"),
            credkey=fields.text("credkey"),
            since=fields.instant("since"),
        )
