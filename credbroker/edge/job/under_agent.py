"""Runs a program with a token that is kept fresh beside it, and ends with the program's exit code.

The program starts once the first token is there, and is not ended for want of a next one: the token
that it has may last as long as it needs. What the agent wrote is gone afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, Mapping, Optional

from credbroker.delivery.discovery import FILE_VARIABLE, VALUE_VARIABLE
from credbroker.domain.errors import CredbrokerError

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.edge.job.keeping import Agent
    from credbroker.edge.job.program import Program


def run_under(agent: Agent, program: Program, say: Callable[..., None]) -> int:
    """Run `program` to its end beside `agent`; return its exit code.

    Raises:
        CredbrokerError: No token could be had, or the program could not be run.
    """
    agent.job_runs, agent.on_ready = program.is_running, program.start
    try:
        agent.run()
    except SystemExit:  # told to stop before the program was started
        agent.leave()
        raise
    except Exception as error:
        if not program.was_started:
            agent.leave()
            raise
        say("no more tokens", **_told_of(error))
        program.exit_code()
        agent.leave()
    return program.exit_code()


def environ_of_program(environ: Mapping[str, str], path: Path) -> Dict[str, str]:
    """Return what the program finds: the file that is kept fresh, and no token that goes before it."""
    kept = {name: value for name, value in environ.items() if name != VALUE_VARIABLE}
    return {**kept, FILE_VARIABLE: str(path)}


def _told_of(error: Exception) -> Dict[str, Optional[str]]:
    if isinstance(error, CredbrokerError):
        return {"why": error.sentence, "remedy": error.remedy, "request": error.request_id}
    return {"why": f"Something unforeseen went wrong ({type(error).__name__})."}
