"""The messages about deliveries keep what they are given, and show no secret."""

from __future__ import annotations

import datetime

import pytest

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire import deliveries
from credbroker.wire.message import Message

AT = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
SHOWN = deliveries.DeliveryShown(
    "id1", 1000, "ada", "cms", "default", ["storage.read:/"], ["https://dav"], False, AT, host="lx1"
)
MESSAGES: list[Message] = [
    deliveries.JoinHost(Secret("join token", "cj_x"), "-----BEGIN PUBLIC KEY-----"),
    deliveries.HostJoined("lx1"),
    deliveries.OpenHostSession(Secret("host assertion", "a.b.c")),
    deliveries.OpenHostSession(),
    deliveries.HostSession(Secret("host token", "ch_x"), "lx1", ["lx"], AT),
    deliveries.AnnounceDelivery(1000, "ada", "cms", "default", ["storage.read:/"], []),
    deliveries.DeliveryAnnounced("id1", Secret("consent code", "cc_x"), AT),
    deliveries.ConsentDelivery(
        Secret("consent code", "cc_x"), 1000, "ada", ["s"], ["a"], group="lx"
    ),
    SHOWN,
    deliveries.DeliveriesShown([SHOWN]),
    deliveries.DeliveryLease(Secret("lease token", "cb_x"), AT),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_what_is_written_is_read_again(message: Message) -> None:
    """And nothing secret is in what people may see of it."""
    assert type(message).read(message.write()) == message
    assert "_x" not in repr(message)


def test_a_request_with_a_field_that_nobody_knows_is_refused() -> None:
    """A typo must not become a default."""
    with pytest.raises(Malformed):
        deliveries.OpenHostSession.read(b'{"asertion": "a"}')
