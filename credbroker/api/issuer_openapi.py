"""The OpenAPI 3.1 document of the issuers that the broker is itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from credbroker import __version__
from credbroker.wire.exchange import ACCESS_TOKEN_TYPE
from credbroker.wire.issuer_documents import (
    DISCOVERY_PATH,
    GRANT_TYPES,
    INTROSPECT_PATH,
    JWKS_PATH,
    METADATA_PATH,
    REVOKE_PATH,
    TOKEN_PATH,
)
from credbroker.wire.oauth import JWT_TYPE, REFRESH_TOKEN_TYPE

ISSUER_OPENAPI = "/api/v1/issuer-openapi.json"

_TEXT = {"type": "string"}
_SECRET = {"type": "string", "description": "A secret: keep it out of logs and arguments."}
_ERROR = {
    "type": "object",
    "required": ["error", "error_description", "request_id"],
    "properties": {
        "error": {"type": "string", "description": "A code of RFC 6749 section 5.2 or RFC 8693."},
        "error_description": {"type": "string", "description": "What happened, and what to do."},
        "request_id": {"type": "string", "description": "Finds the request in the broker's log."},
    },
    "additionalProperties": False,
}
_TOKEN = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        "access_token": _SECRET,
        "token_type": {"const": "Bearer"},
        "expires_in": {"type": "integer", "description": "In seconds."},
        "scope": _TEXT,
        "refresh_token": _SECRET,
        "issued_token_type": {"const": ACCESS_TOKEN_TYPE},
    },
    "additionalProperties": False,
}
_LOOKED_UP = {
    "type": "object",
    "required": ["active"],
    "properties": {"active": {"type": "boolean"}, "scope": _TEXT, "sub": _TEXT},
}
_DOCUMENT = {"type": "object", "required": ["issuer", "jwks_uri"]}
_KEYS = {"type": "object", "required": ["keys"]}
_TOKEN_KINDS = {"enum": [ACCESS_TOKEN_TYPE, JWT_TYPE]}
_ASKED = {
    "grant_type": {"enum": list(GRANT_TYPES)},
    "scope": _TEXT,
    "audience": {"type": "string", "description": "One or several, apart by spaces."},
    "refresh_token": _SECRET,
    "subject_token": _SECRET,
    "subject_token_type": _TOKEN_KINDS,
    "requested_token_type": {"enum": [ACCESS_TOKEN_TYPE, JWT_TYPE, REFRESH_TOKEN_TYPE]},
    "actor_token": _SECRET,
    "actor_token_type": _TOKEN_KINDS,
}
_CLIENT = {
    "type": "http",
    "scheme": "basic",
    "description": "Or client_id and client_secret in the form, and nothing in the header.",
}
_SHOWN = {"token": {**_SECRET, "minLength": 1}, "token_type_hint": _TEXT}


def issuer_document(urls: Sequence[str]) -> dict[str, Any]:
    """Return the document of the issuers `urls` as JSON-ready values."""
    parts = [urlsplit(url) for url in urls]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "credbroker, as an issuer",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": one} for one in dict.fromkeys(f"{p.scheme}://{p.netloc}" for p in parts)
        ],
        "paths": {
            f"{one.path}{name}": operations
            for one in parts
            for name, operations in _operations(one.path.strip("/").replace("/", ":")).items()
        },
        "components": {
            "schemas": {"Error": _ERROR, "Token": _TOKEN, "LookedUp": _LOOKED_UP},
            "securitySchemes": {"client": _CLIENT},
        },
    }


def issuer_openapi_route(urls: Sequence[str]) -> web.RouteDef:
    """Return the route at which the document of these issuers is found."""
    described = issuer_document(urls)

    async def openapi(_request: web.Request) -> web.Response:
        return web.json_response(described)

    return web.get(ISSUER_OPENAPI, openapi)


def _operations(name: str) -> dict[str, dict[str, Any]]:
    """Return the operations of one issuer by their paths below it; `name` keeps their ids apart."""
    return {
        DISCOVERY_PATH: {"get": _reads(f"{name}_discovery", "Metadata of the issuer.", _DOCUMENT)},
        METADATA_PATH: {"get": _reads(f"{name}_metadata", "The same.", _DOCUMENT)},
        JWKS_PATH: {"get": _reads(f"{name}_jwks", "Its public keys.", _KEYS)},
        TOKEN_PATH: {
            "post": _takes(f"{name}_token", "Get a token.", _ASKED, ["grant_type"], _ref("Token"))
        },
        REVOKE_PATH: {"post": _takes(f"{name}_revoke", "End a token.", _SHOWN, ["token"], None)},
        INTROSPECT_PATH: {
            "post": _takes(
                f"{name}_introspect", "Look a token up.", _SHOWN, ["token"], _ref("LookedUp")
            )
        },
    }


def _reads(name: str, summary: str, schema: Mapping[str, object]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {"application/json": {"schema": schema}}},
            "default": {
                "description": "What went wrong, as text.",
                "content": {"text/plain": {"schema": _TEXT}},
            },
        },
        "security": [],
    }


def _takes(
    name: str,
    summary: str,
    parameters: Mapping[str, object],
    required: Sequence[str],
    gives: Mapping[str, object] | None,
) -> dict[str, Any]:
    success: dict[str, Any] = {"description": summary}
    if gives is not None:
        success["content"] = {"application/json": {"schema": gives}}
    form = {"type": "object", "required": required, "properties": parameters}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": form}},
        },
        "responses": {
            "200": success,
            "default": {
                "description": "What went wrong.",
                "content": {"application/json": {"schema": _ref("Error")}},
            },
        },
        "security": [{"client": []}],
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
