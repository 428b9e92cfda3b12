"""A body that breaks off, or is not what it says, is the sender's fault and nobody's here."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from credbroker.api.bodies import body_of


class Broken:
    """A body of which the rest does not come."""

    def __init__(self, why: Exception) -> None:
        self.why = why

    def set_read_chunk_size(self, _size: int) -> None:
        """Take whatever is asked for."""

    def is_eof(self) -> bool:
        """Have more to come."""
        return False

    async def readany(self) -> bytes:
        """Say why."""
        raise self.why


@pytest.mark.parametrize(
    "why",
    [
        ConnectionResetError("Connection lost"),
        web.RequestPayloadError("400, message: Can not decode content-encoding: gzip"),
    ],
)
async def test_a_body_that_does_not_come_whole_is_a_bad_request(why: Exception) -> None:
    """It was a fault of the broker's in the log, with a stack trace, for whoever hung up."""
    request = make_mocked_request("POST", "/", payload=cast("Any", Broken(why)))
    with pytest.raises(web.HTTPBadRequest):
        await body_of(request)
