"""The local agent is asked in one line, and believed only if it is root's or one's own."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from credbroker.client.local import LocalAgent
from credbroker.domain.errors import Busy, CredbrokerError, LocalFileUnfit, Malformed, NotAllowed
from credbroker.wire.native import Problem
from credbroker.wire.sessions import LIST, AgentAnswer, AskAgent, DeliverySeen
from tests.people import EVE, as_root, hall

__all__ = ["hall"]

SEEN = AgentAnswer(seen=[DeliverySeen("id1", "/run/user/7/bt_u7", "fresh")])


def asked_once(path: Path, *answer: bytes) -> AgentAnswer:
    """Ask an agent that answers with these pieces and hangs up."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                for piece in answer:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return LocalAgent(str(path)).ask(AskAgent(LIST))
        finally:
            thread.join()


def test_an_answer_may_come_in_pieces(tmp_path: Path) -> None:
    """It ends with its line."""
    line = SEEN.write() + b"\n"
    assert asked_once(tmp_path / "s", line[:5], line[5:]) == SEEN


def test_a_problem_is_raised_as_itself(tmp_path: Path) -> None:
    """With what to do."""
    problem = AgentAnswer(Problem("not_allowed", "Not that group.", "Ask the operator."))
    with pytest.raises(NotAllowed, match="Not that group") as refused:
        asked_once(tmp_path / "s", problem.write() + b"\n")
    assert refused.value.remedy == "Ask the operator."


@pytest.mark.parametrize(
    ("answer", "error"),
    [([], Busy), ([b'{"seen":'], Busy), ([b"rubbish\n"], Malformed)],
)
def test_an_agent_that_breaks_off_or_says_rubbish_is_an_error(
    tmp_path: Path, answer: list[bytes], error: type[CredbrokerError]
) -> None:
    """In words."""
    with pytest.raises(error):
        asked_once(tmp_path / "s", *answer)


def test_where_nobody_listens_there_is_no_agent(tmp_path: Path) -> None:
    """No socket, or one that was left behind."""
    with pytest.raises(LocalFileUnfit, match="No agent"):
        LocalAgent(str(tmp_path / "s")).ask(AskAgent(LIST))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    with pytest.raises(LocalFileUnfit, match="No agent"):
        LocalAgent(str(tmp_path / "s")).ask(AskAgent(LIST))


@as_root
def test_somebody_else_s_agent_is_not_believed(hall: Path) -> None:
    """It could have a person consent to tokens for another place."""
    hall.chmod(0o777)
    ready, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresgid(EVE[1], EVE[1], EVE[1])
        os.setresuid(EVE[0], EVE[0], EVE[0])
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(hall / "s"))
            listening.listen(1)
            os.write(said, b"!")
            connection, _ = listening.accept()
            heard = connection.recv(4096)
        os._exit(len(heard) != 0)
    os.read(ready, 1)
    with pytest.raises(LocalFileUnfit, match="somebody else"):
        LocalAgent(str(hall / "s")).ask(AskAgent(LIST))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(ready)
    os.close(said)
