"""The agent's socket: the kernel says who speaks, and nobody keeps others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from credbroker.client.local import peer_uid
from credbroker.domain.errors import LocalFileUnfit, NotAllowed
from credbroker.edge.sessions import counter
from credbroker.edge.sessions.counter import CONNECTIONS_OF_ONE, Counter
from credbroker.wire.sessions import LARGEST_LINE_BYTES, LIST, AgentAnswer, AskAgent, DeliverySeen
from tests.people import ALICE, EVE, as_root, hall

__all__ = ["hall"]

ASK = AskAgent(LIST).write() + b"\n"


async def who(uid: int, asked: AskAgent) -> AgentAnswer:
    """Answer with the uid that was told."""
    return AgentAnswer(seen=[DeliverySeen(str(uid), "/p", asked.deed)])


@contextlib.asynccontextmanager
async def listening(path: Path, answer: counter.Answer = who) -> AsyncIterator[Counter]:
    """Listen at `path` while the block lasts."""
    at = Counter(path, answer, lambda *_, **__: None)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(at.run(at.bound()))
        try:
            yield at
        finally:
            task.cancel()


async def said(path: Path, line: bytes = ASK) -> AgentAnswer:
    """Send a line; return what is answered."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return AgentAnswer.read(answer)


def problem_of(answer: AgentAnswer) -> str:
    """Return the stable word of an answer's problem."""
    assert answer.problem is not None
    return answer.problem.error


async def test_the_kernel_says_who_asks(tmp_path: Path) -> None:
    """Whatever a person says of oneself."""
    async with listening(tmp_path / "s"):
        answer = await said(tmp_path / "s")
        assert answer.seen is not None
        assert answer.seen[0].id == str(os.getuid())
        assert problem_of(await said(tmp_path / "s", b'{"deed":"list","uid":0}\n')) == "malformed"


@as_root
async def test_each_person_is_known_by_the_own_uid(hall: Path) -> None:
    """Everybody may connect."""

    def ask_as(owner: tuple[int, int]) -> bytes:
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setresgid(owner[1], owner[1], owner[1])
            os.setresuid(owner[0], owner[0], owner[0])
            with socket.socket(socket.AF_UNIX) as own:
                own.connect(str(hall / "s"))
                own.sendall(ASK)
                os.write(writes, own.recv(4096))
            os._exit(0)
        os.close(writes)
        with os.fdopen(reads, "rb") as answered:
            content = answered.read()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return content

    async with listening(hall / "s"):
        assert stat.S_IMODE((hall / "s").stat().st_mode) == 0o666
        for owner in (ALICE, EVE):
            answer = json.loads(await asyncio.to_thread(ask_as, owner))
            assert answer["seen"][0]["id"] == str(owner[0])


@pytest.mark.parametrize(
    "line", [b"\n", b"rubbish\n", b"[1]\n", b"x" * (2 * LARGEST_LINE_BYTES) + b"\n"]
)
async def test_rubbish_is_answered_in_words(tmp_path: Path, line: bytes) -> None:
    """And the next one is served."""
    async with listening(tmp_path / "s"):
        assert problem_of(await said(tmp_path / "s", line)) == "malformed"
        assert (await said(tmp_path / "s")).seen is not None


async def test_an_error_comes_as_itself_and_a_fault_ends_nothing(tmp_path: Path) -> None:
    """One person's request must not be everybody's end."""
    errors: list[Exception] = [NotAllowed("Not here."), RuntimeError("secret"), NotAllowed("No.")]

    async def failing(uid: int, asked: AskAgent) -> AgentAnswer:
        raise errors.pop(0)

    async with listening(tmp_path / "s", failing):
        assert problem_of(await said(tmp_path / "s")) == "not_allowed"
        fault = await said(tmp_path / "s")
        assert problem_of(fault) == "broker_fault"
        assert b"secret" not in fault.write()
        assert problem_of(await said(tmp_path / "s")) == "not_allowed"


async def test_who_is_slow_or_holds_many_connections_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a word; afterwards there is room again."""
    async with listening(tmp_path / "s") as at:
        held = [await asyncio.open_unix_connection(tmp_path / "s") for _ in range(8)]
        refused = held[CONNECTIONS_OF_ONE:]
        for reader, _ in refused:
            answer = AgentAnswer.read(await asyncio.wait_for(reader.read(), 10))
            assert problem_of(answer) == "busy"
        assert problem_of(await said(tmp_path / "s", b"")) == "busy"
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(10):
            while at._of.total():
                await asyncio.to_thread(lambda: None)
        monkeypatch.setattr(counter, "LINE_SECONDS", 0.01)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        assert (
            problem_of(AgentAnswer.read(await asyncio.wait_for(reader.read(), 10))) == "malformed"
        )
        writer.close()


async def test_who_does_not_read_the_answer_keeps_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is: what the kernel does not take is thrown away, and the place is free."""

    async def at_length(_: int, __: AskAgent) -> AgentAnswer:
        return AgentAnswer(seen=[DeliverySeen("id", "/p", "x" * 4_000_000)])

    monkeypatch.setattr(counter, "LINE_SECONDS", 0.05)
    async with listening(tmp_path / "s", at_length) as at:
        with socket.socket(socket.AF_UNIX) as own:
            own.setblocking(False)
            own.connect(str(tmp_path / "s"))
            own.sendall(ASK)
            async with asyncio.timeout(10):
                while not at.served:
                    await asyncio.to_thread(lambda: None)
            assert at._of.total() == 0
            own.setblocking(True)
            own.settimeout(10)

            def read_all() -> int:
                count = 0
                while more := own.recv(1_000_000):
                    count += len(more)
                return count

            assert await asyncio.to_thread(read_all) < 4_000_000


@pytest.mark.parametrize("uid", [2**31, 2**32 - 2])
def test_large_uids_are_people_too(uid: int) -> None:
    """The kernel's number has no sign."""

    class Connection:
        def getsockopt(self, *_: int) -> bytes:
            return struct.pack("=iII", 1, uid, uid)

    assert peer_uid(Connection()) == uid  # type: ignore[arg-type] # all of it that is asked


async def test_a_socket_left_by_a_killed_agent_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    """A file of another kind there is an error; the own one goes at the end."""
    path = tmp_path / "s"
    Counter(path, who, lambda *_, **__: None).bound().close()
    assert path.exists()
    async with listening(path):
        assert (await said(path)).seen is not None
    assert not path.exists()
    path.write_text("something else")
    with pytest.raises(LocalFileUnfit, match="cannot be made"):
        Counter(path, who, lambda *_, **__: None).bound()
    assert path.read_text() == "something else"
