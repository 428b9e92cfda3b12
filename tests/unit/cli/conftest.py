"""A desk for commands: a fake broker, a fake clock, and folders of one test."""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.desk import Desk
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.host.entropy import SystemEntropy
from tests.fakes.broker import ISSUER_URL, LOGIN_SCOPES, FakeBroker
from tests.fakes.step_clock import StepClock

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

BROKER_URL = "https://broker.example.org:8200"


class Terminal(io.StringIO):
    """Text in or out that may be a terminal."""

    is_terminal = False
    encoding = "utf-8"

    def isatty(self) -> bool:
        """Say what the test wants."""
        return self.is_terminal


@dataclasses.dataclass
class Table:
    """One person at one machine: what they can reach, and what they have seen so far."""

    clock: StepClock
    broker: FakeBroker
    folder: Path
    environ: dict[str, str]
    out: Terminal
    err: Terminal
    asked: list[tuple[str, str | None]]
    inp: Terminal | None = None
    pages: list[str] = dataclasses.field(default_factory=list)
    """What was opened in a browser."""

    @property
    def token_path(self) -> Path:
        """Where programs look for the token."""
        return self.folder / "bt_u7"

    def run(self, command: ModuleType, *arguments: str) -> int:
        """Run a command as it is called, and return its exit code."""
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        before = self._written_at()
        code: int = command.run(parser.parse_args(arguments), self.desk())
        if self._written_at() not in {None, before}:  # the file system goes by the machine's clock
            now = self.clock.now().timestamp()
            os.utime(self.token_path, (now, now))
        return code

    def _written_at(self) -> int | None:
        return self.token_path.stat().st_mtime_ns if self.token_path.exists() else None

    def desk(self) -> Desk:
        """Return the desk that commands get."""

        def open_door(
            address: str, _: object, ca_file: str | None, ca_pem: str | None
        ) -> FakeBroker:
            self.asked.append((address, ca_file or ca_pem))
            return self.broker

        return Desk(
            clock=self.clock,
            entropy=SystemEntropy(),
            environ=self.environ,
            euid=7,
            out=self.out,
            err=self.err,
            open_door=open_door,
            inp=self.inp,
            open_page=lambda address, _: self.pages.append(address),
        )

    def sit_down(self) -> None:
        """Let a person sit there, at a terminal that shows colours."""
        self.inp = Terminal()
        for end in (self.inp, self.err, self.out):
            end.is_terminal = True
        self.environ["TERM"] = "xterm-256color"

    def log_in(self, issuer: str = "cms", role: str = "default", **fields: object) -> Path:
        """Put a lease file there as a login does; return its path."""
        lease = LeaseFile(
            broker=BROKER_URL,
            lease_token=self.broker.new_lease(),
            issuer=issuer,
            issuer_url=ISSUER_URL,
            role=role,
            credkey="alice",
            scopes=LOGIN_SCOPES,
            lease_ends_at=self.clock.now().replace(year=2030),
        )
        lease_file.make_leases_folder(self.environ, SystemEntropy())
        path = lease_file.person_path(self.environ, issuer, role)
        lease_file.write(path, dataclasses.replace(lease, **fields), SystemEntropy())  # type: ignore[arg-type] # the test knows the fields
        return path

    def said(self) -> str:
        """Return what was said to the person since the last look."""
        text = self.err.getvalue()
        self.err.truncate(0)
        self.err.seek(0)
        return text

    def answered(self) -> str:
        """Return what was answered on standard output since the last look."""
        text = self.out.getvalue()
        self.out.truncate(0)
        self.out.seek(0)
        return text


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A person who is not logged in."""
    clock = StepClock()
    environ = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path)}
    return Table(clock, FakeBroker(clock), tmp_path, environ, Terminal(), Terminal(), [])
