"""Every way into the log ends in one redacted JSON object a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from credbroker.telemetry.canaries import Canaries
from credbroker.telemetry.logging import configure

SECRET = "cb_AbCdEfGhIjKlMnOpQrStUv.kd83jf0aKQ1zP5vbnT7wXyQmkd83jf0aKQ1zP5vbnT7"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Log into memory at level debug; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    configure("debug")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def fail() -> None:
    """Fail with a secret in the error and in its cause."""
    raise ValueError(SECRET) from KeyError(SECRET)


def test_a_line_is_one_object_with_time_level_and_words(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """And what is bound to the request."""
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("x").warning("served\nfrom memory", jti="j-1")
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "served\nfrom memory",
        "level": "warning",
        "request_id": "r-1",
        "jti": "j-1",
    }


def test_no_way_into_the_log_shows_a_secret(
    lines: Callable[[], list[dict[str, Any]]], canaries: Canaries
) -> None:
    """Ours and a library's, in texts, arguments, fields, exceptions and their causes."""
    canaries.plant("lease token", SECRET)
    ours, theirs = structlog.get_logger("x"), logging.getLogger("library")
    ours.info(f"got {SECRET}", why=SECRET, nested={"a": [SECRET]})
    theirs.debug("sent %s with %r", SECRET, {"token": SECRET})
    try:
        fail()
    except ValueError:
        ours.exception("it failed")
        theirs.exception("it failed too: %s", SECRET)
    assert len(lines()) == 4
    assert sum("Traceback" in line.get("exception", "") for line in lines()) == 2
    canaries.search_text("log", json.dumps(lines()).encode())


def test_the_access_log_of_the_library_is_off(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Request lines are the broker's own business."""
    logging.getLogger("aiohttp.access").info("GET /x?token=y")
    assert lines() == []


def test_the_level_holds_for_all(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Nothing below it is written."""
    configure("error")
    structlog.get_logger("x").warning("quiet")
    logging.getLogger("library").warning("quiet")
    assert lines() == []
