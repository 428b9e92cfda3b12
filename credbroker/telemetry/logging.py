"""Logs: one JSON object a line on standard error, redacted, with the request id where there is one."""

from __future__ import annotations

import logging
import sys

import structlog

from credbroker.telemetry.redact import redact_event

REQUEST_ID = "request_id"

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    redact_event,
]


def request_in_hand() -> str | None:
    """Return the id of the request that this task was begun for, None if for none."""
    found = structlog.contextvars.get_contextvars().get(REQUEST_ID)
    return found if isinstance(found, str) else None


def configure(level: str) -> None:
    """Send the log of this process, libraries included, to standard error from `level` up.

    Every way into the log ends in the same processors, so that a library's own message, or an
    exception's text, is redacted like ours.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                structlog.processors.JSONRenderer(sort_keys=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(level.upper())
    # It writes request lines and peer addresses, which the broker's own log does better.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
