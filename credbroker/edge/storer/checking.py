"""`condor-storer --check`: would a submit go through now, without a prompt, and until when?

It asks for the same tokens as a submit would, stores nothing, makes no lease and never prompts.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credbroker.cli.desk import at_minute, plain
from credbroker.cli.exits import LOGIN_NEEDED, REFUSED, TOO_SOON_EXPIRED, UNREACHABLE, exit_code
from credbroker.domain.errors import CredbrokerError
from credbroker.edge.storer import lasting, storages
from credbroker.wire.fields import write_optional_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credbroker.edge.storer.asked import Asked
    from credbroker.edge.storer.submitting import Submit

_WORST_FIRST = (LOGIN_NEEDED, REFUSED, TOO_SOON_EXPIRED, UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it would go for one request: until when, or why not."""

    name: str
    until: datetime.datetime | None = None
    error: CredbrokerError | None = None

    @property
    def code(self) -> int:
        """The exit code."""
        return 0 if self.error is None else exit_code(self.error)

    @property
    def sentence(self) -> str:
        """One line for a person."""
        if self.error is not None:
            return f"{self.name}: no. {self.error.sentence} {self.error.remedy}"
        until = "" if self.until is None else f", until {at_minute(self.until)}"
        return f"{self.name}: yes, a submit would go through without a prompt{until}."

    def fields(self) -> dict[str, object]:
        """Return the same for programs."""
        return {
            "name": self.name,
            "goes_through": self.error is None,
            "until": write_optional_instant(self.until),
            "exit_code": self.code,
            "error": self.error and self.error.code,
            "message": self.error and self.error.sentence,
            "remedy": self.error and self.error.remedy,
        }


def check(
    submit: Submit, requests: Sequence[Asked], stated_seconds: int | None, *, as_json: bool
) -> int:
    """Say of each request how a submit would go; return the exit code of the worst."""
    found = [_outcome(submit, one, stated_seconds) for one in requests]
    if as_json:
        submit.desk.answer(json.dumps([one.fields() for one in found]))
    for one in found if not as_json else ():
        submit.desk.answer(plain(one.sentence))
    codes = {one.code for one in found}
    return next((code for code in _WORST_FIRST if code in codes), max(codes))


def _outcome(submit: Submit, asked: Asked, stated_seconds: int | None) -> Outcome:
    stated = max(filter(None, (stated_seconds, asked.stated_seconds)), default=None)
    try:
        storages.check(asked, submit.storages)
        login = submit.logins.ready(asked.service)
        end = lasting.check_outlasts(login, stated, submit.desk.clock.now())
        submit.try_out(login.lease, [asked])
    except CredbrokerError as error:
        return Outcome(asked.name, error=error)
    return Outcome(asked.name, until=end)
