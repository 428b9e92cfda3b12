"""The OpenAPI 3.1 document of the native API, made from the same table as the router."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from credbroker import __version__
from credbroker.api.operations import Operation
from credbroker.domain.secret import Secret
from credbroker.wire.files import LINES

_PROBLEM = {
    "type": "object",
    "required": ["error", "message", "remedy", "request_id"],
    "properties": {
        "error": {"type": "string", "description": "A stable word for programs."},
        "message": {"type": "string", "description": "What happened, in one sentence."},
        "remedy": {"type": "string", "description": "What to do about it."},
        "request_id": {"type": "string", "description": "Finds the request in the broker's log."},
    },
}


def document(operations: Sequence[Operation], public_url: str) -> dict[str, Any]:
    """Return the document for `operations` as JSON-ready values."""
    messages = [
        kind for op in operations for kind in (op.takes, op.gives, op.line) if kind is not None
    ]
    _, schemas = msgspec.json.schema_components(
        messages, schema_hook=_schema_of, ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "credbroker",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url.rstrip("/")}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {
                "lease": {"type": "http", "scheme": "bearer"},
                "client": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _describe(operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"description": operation.summary}
    if operation.gives is not None:
        success["content"] = _json(operation.gives.__name__)
    if operation.line is not None:
        lines = {LINES: {"schema": _schema(operation.line.__name__)}}
        success["content"] = {**success.get("content", {}), **lines}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {
            str(operation.status): success,
            "default": {"description": "What went wrong.", "content": _json("Problem")},
        },
        "security": [] if operation.shows == "nothing" else [{operation.shows: []}],
    }
    if names := re.findall(r"{(\w+)}", operation.path):
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if operation.takes is not None:
        described["requestBody"] = {"required": True, "content": _json(operation.takes.__name__)}
    return described


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": _schema(name)}}


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schema_of(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return {"type": "string", "description": "A secret: keep it out of logs and arguments."}
    if kind is datetime.datetime:
        return {"type": "string", "format": "date-time"}
    raise TypeError(f"{kind} has no place in the API")
