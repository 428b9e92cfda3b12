"""The messages between a person and the agent of the host keep what they are given."""

from __future__ import annotations

import datetime

import pytest

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire import sessions
from credbroker.wire.message import Message
from credbroker.wire.native import Problem

AT = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
WANTED = sessions.WantedDelivery("cms", "default", ["storage.read:/"], ["https://dav"], "cms")
SEEN = sessions.DeliverySeen("id1", "/run/user/1000/bt_u1000", "fresh")
MESSAGES: list[Message] = [
    WANTED,
    sessions.AskAgent(sessions.PLACE, WANTED),
    sessions.AskAgent(sessions.END, id="id1"),
    sessions.AgentAnswer(),
    sessions.AgentAnswer(Problem("malformed", "No.", "Mend it.", "req-1")),
    sessions.AgentAnswer(
        placed=sessions.DeliveryPlaced(
            "id1", Secret("consent code", "cc_x"), AT, "lx1", "ada", "/run/x"
        )
    ),
    sessions.AgentAnswer(seen=[SEEN]),
    sessions.AgentAnswer(seen=[]),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_what_is_written_is_read_again(message: Message) -> None:
    """As one line, and the consent code shows in nothing that people may see of it."""
    assert type(message).read(message.write()) == message
    assert b"\n" not in message.write()
    assert "cc_x" not in repr(message)


def test_nobody_can_name_a_uid() -> None:
    """Who speaks, the kernel says; a field for it is refused like any that nobody knows."""
    with pytest.raises(Malformed, match="'uid'"):
        sessions.AskAgent.read(b'{"deed":"list","uid":0}')
