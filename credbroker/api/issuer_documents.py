"""What anybody may read of an issuer of ours: its metadata (RFC 8414) and its keys (RFC 7517).

Both are answered from memory with bytes that are ready, many times a second, and may be kept by
whoever reads them. Where the metadata are looked for there is no JSON without `jwks_uri`, not even an
error: ARC CE ends there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from aiohttp import hdrs, web
from multidict import CIMultiDict

from credbroker.api.answering import public_document
from credbroker.api.issuer_paths import metadata_paths, spellings
from credbroker.domain.errors import KeysMissing
from credbroker.wire.issuer_documents import JWKS_PATH, discovery

KEPT_SECONDS = 3600

_READ = frozenset({"GET", "HEAD"})


class Document:
    """One document, ready to be answered with."""

    def __init__(self, body: bytes) -> None:
        """Answer with these bytes of JSON."""
        self.body = body
        self._tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        self._headers = CIMultiDict(
            {
                hdrs.CONTENT_TYPE: "application/json",
                hdrs.CACHE_CONTROL: f"public, max-age={KEPT_SECONDS}",
                hdrs.ETAG: self._tag,
                hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
            }
        )

    def answer(self, request: web.BaseRequest) -> web.Response:
        """Return the document, or that the reader has it already (RFC 9110 section 13.1.2)."""
        if request.method not in _READ:
            return web.Response(
                status=405, text="Read this with GET.\n", headers={"Allow": "GET, HEAD"}
            )
        headers = self._headers.copy()
        if self._is_known(request.headers.get(hdrs.IF_NONE_MATCH)):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, headers=headers)

    def _is_known(self, tags: str | None) -> bool:
        return tags is not None and (tags.strip() == "*" or self._tag in tags)


class IssuerDocuments:
    """The documents of one issuer."""

    def __init__(self, url: str, jwks: Callable[[], bytes]) -> None:
        """Serve the issuer `url`, whose keys are what `jwks` returns at the time."""
        self._url = url
        self._jwks = jwks
        self._metadata = Document(json.dumps(discovery(url)).encode())
        self._keys = Document(b"")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes at which both are found."""
        return [
            *(web.route("*", path, self.configuration) for path in metadata_paths(self._url)),
            *(web.route("*", path, self.keys) for path in spellings(self._url, JWKS_PATH)),
        ]

    @public_document
    async def configuration(self, request: web.BaseRequest) -> web.Response:
        """Answer with the metadata."""
        return self._metadata.answer(request)

    @public_document
    async def keys(self, request: web.BaseRequest) -> web.Response:
        """Answer with the keys as they are now."""
        try:
            keys = self._jwks()
        except KeysMissing as error:
            return web.Response(status=503, text=error.sentence, headers=_COME_AGAIN)
        if keys != self._keys.body:
            self._keys = Document(keys)
        return self._keys.answer(request)


_COME_AGAIN = {"Retry-After": "2", "Cache-Control": "no-store"}
