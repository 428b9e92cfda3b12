"""Says after each request whether everything held: nobody's secret shown, nothing of others touched."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import structlog

from credbroker.telemetry.redact import redact, redact_event

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tests.fakes.store import MemoryRecords
    from tests.fuzz.crowd import Crowd
    from tests.fuzz.line import Said

_INSIDE = (b"Traceback", b'File "', b"credbroker/", b"credbroker.", b"site-packages")
_DEADLY = b"permission denied"
# What the former HTVault refuses is believed when it has refused it twice.
_NOT_SURE = b"that is not certain yet"
# A login has nobody's name before the issuer has said whose it is.
_ADA = ("ada", "")


class Finding(AssertionError):
    """Something that must not be."""


class Heard(logging.Handler):
    """All that would be in the log, redacted as there; a fault of the broker's is kept apart."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.faults: list[str] = []

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        """Hear one event of structlog; nothing is written."""
        written = redact_event(
            logger, method, structlog.processors.format_exc_info(logger, method, event)
        )
        if event.get("event") == "broker_fault":
            self.faults.append(str(written))
        self.lines.append(str(written))
        raise structlog.DropEvent

    def emit(self, record: logging.LogRecord) -> None:
        """Hear one message of a library."""
        said: dict[str, Any] = {"event": record.getMessage()}
        if record.exc_info:
            said["exception"] = logging.Formatter().formatException(record.exc_info)
        self.lines.append(str(redact_event(None, "", said)))

    def clear(self) -> None:
        """Forget what was said so far."""
        self.lines.clear()
        self.faults.clear()


class Watch:
    """Knows how a crowd was before anybody asked."""

    def __init__(self, crowd: Crowd, heard: Heard) -> None:
        """Remember what is stored, and how much was written."""
        self._crowd = crowd
        self._heard = heard
        world = crowd.world
        self._stores: dict[str, MemoryRecords[Any]] = {
            "grants": world.grants, "leases": world.leases, "logins": world.logins,
            "narrow": world.narrow, "confirmed": world.confirmed, "ssh_keys": world.ssh_keys,
            "revocations": world.revocations,
        }  # fmt: skip
        self._before = {name: dict(store._newest) for name, store in self._stores.items()}
        self._began_at = world.clock.elapsed()
        self._written = self._count()
        secrets = sorted(crowd.secrets.values(), key=len, reverse=True)
        self._secret = re.compile("|".join(re.escape(one) for one in secrets))

    def is_as_before(self) -> bool:
        """True while nothing was written and no time has passed."""
        return (self._count(), self._crowd.world.clock.elapsed()) == (self._written, self._began_at)

    def check(self, request: bytes, answers: list[Said], *, is_down: bool) -> None:
        """Raise `Finding` for whatever must not be after this request."""
        for fault in self._heard.faults:
            raise Finding(f"a fault of the broker's own: {fault}")
        self._check_secrets(request, answers)
        self._check_stores()
        self._check_issuer()
        for said in answers:
            check_form(said, is_down=is_down)
            if _DEADLY in said.body.lower() and self._crowd.words["ended"].encode() not in request:
                raise Finding(f"deadly words about a lease that lives: {said.body!r}")

    def _check_secrets(self, request: bytes, answers: list[Said]) -> None:
        """Nothing shows one; but what Ada takes for a name, not for a secret, may be said of it."""
        head, _, body = request.decode("latin-1").partition("\r\n\r\n")
        named = head.partition("\n")[0] + body
        texts = {
            "an answer": b"".join(said.raw for said in answers).decode("latin-1"),
            "the log": "".join(self._heard.lines),
            "the audit trail": redact(str(self._crowd.world.audit.lines)),
        }
        for where, text in texts.items():
            found = self._secret.search(text)
            if found is not None and found.group() not in named:
                whose = [name for name, one in self._crowd.secrets.items() if one == found.group()]
                raise Finding(f"{where} shows {whose[0]}: {text[:2000]!r}")

    def _check_stores(self) -> None:
        """Only what is Ada's may be new or changed."""
        for name, store in self._stores.items():
            for segment, found in store._newest.items():
                if found is not self._before[name].get(segment) and (
                    (whose := _owner(found[0])) not in _ADA and not whose.startswith("ada/")
                ):
                    raise Finding(f"{name} of {whose!r} were written: {found[0]!r}")

    def _check_issuer(self) -> None:
        """No refresh token of the others is used or revoked."""
        issuer = self._crowd.world.issuer
        for value in [*issuer.posts, *issuer.revoked]:
            if issuer._first.get(value, value) in self._crowd.theirs:
                raise Finding(f"{value} went to the issuer")
        ours = [one.vault_token.reveal() for one in self._crowd.former.asked]
        if any(token.startswith("cb_") for token in ours):
            raise Finding("a vault token of ours went to the former HTVault")

    def _count(self) -> int:
        seen = self._crowd.world.seen
        return sum(len(one.history) for one in (*self._stores.values(), seen))


def check_form(said: Said, *, is_down: bool) -> None:
    """Raise `Finding` unless an answer has the form that its asker reads."""
    excused = is_down or _NOT_SURE in said.body
    if said.status >= 500 and not (excused and said.status in {502, 503}):
        raise Finding(f"status {said.status}: {said.body!r}")
    for word in _INSIDE:
        if word in said.raw:
            raise Finding(f"the inside of the broker is shown: {said.raw!r}")
    kind = said.headers.get("content-type", "").partition(";")[0]
    if "x-request-id" not in said.headers:
        raise Finding(f"an answer without a request id: {said.raw!r}")
    if kind == "application/json" and said.body:
        _check_json(said)
    elif kind == "text/html" and "default-src 'none'" not in said.headers.get(
        "content-security-policy", ""
    ):
        raise Finding(f"a page that may load anything: {said.raw!r}")


def _check_json(said: Said) -> None:
    read = json.loads(said.body)
    if said.status < 400:
        return
    texts: Any = read.get("errors", [read.get("error"), read.get("message")])
    if not texts or not all(isinstance(one, str) and one for one in texts):
        raise Finding(f"not an error as clients read it: {said.body!r}")


def _owner(record: Any) -> str:
    """Return the credkey that a record belongs to; empty if it is nobody's."""
    holder = record if hasattr(record, "credkey") else getattr(record, "key", None)
    return str(getattr(holder, "credkey", ""))
