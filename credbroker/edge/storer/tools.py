"""HTCondor's own two commands that a storer needs: what is configured, and what the credd holds.

A secret goes to the credd by standard input alone. What the commands say is read as far as it is
known to be said; anything else becomes one sentence with their last line.
"""

from __future__ import annotations

import enum
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from credbroker.cli.desk import plain
from credbroker.domain.errors import CredbrokerError, LocalFileUnfit

SECONDS = 30.0
USER_VARIABLE = "CONDOR_VAULT_STORER_USER"
"""For whom a service stores that may store for others."""
OPTIONS_VARIABLE = "SEC_CREDENTIAL_STORECRED_OPTS"
MINIMUM = "CREDMON_OAUTH_TOKEN_MINIMUM"
MINIMUM_SECONDS = 2400
"""What HTCondor's credmons take that setting for where it is unset."""

_CREDD = "CREDD_HOST"
_PENDING = "waiting for processing"
_NOTHING = "No credential is stored"
_MISMATCH = 2
_LONGEST_WORDS = 300


class NotStored(CredbrokerError):
    """HTCondor's credd or credmon did not do its part."""

    default_remedy = "Tell whoever runs this access point."


class Kept(enum.Enum):
    """What the credd holds under a name."""

    NOTHING = "nothing"
    WAITING = "waiting"
    """Stored; the credmon has not fetched a token for it yet."""
    READY = "ready"
    """Stored, and there is a token."""
    OTHER = "other"
    """Stored, with other scopes or another audience."""


Narrowing = tuple[str, str]
"""Scopes and audience, between commas; empty texts for the whole right."""


class Credd(Protocol):
    """One credd, asked in the name of whoever runs this."""

    @property
    def name(self) -> str:
        """Tell which one it is."""

    def query(self, name: str, narrowing: Narrowing) -> Kept:
        """Return what is held under `name`. Raises `NotStored`."""

    def store(self, name: str, narrowing: Narrowing, content: bytes) -> None:
        """Store `content` under `name`. Raises `NotStored`."""


@dataclass(frozen=True, slots=True)
class CondorCredd:
    """The credd that `condor_store_cred` talks to, or the one on `host`. Follows `Credd`."""

    environ: Mapping[str, str]
    host: str | None = None

    @property
    def name(self) -> str:
        """Tell which one it is: homes are shared between access points."""
        return self.host or config_value(_CREDD, self.environ) or socket.gethostname()

    def query(self, name: str, narrowing: Narrowing) -> Kept:
        """Return what is held under `name`. Raises `NotStored`."""
        done = self._run("query-oauth", name, narrowing)
        if done.returncode == _MISMATCH:
            return Kept.OTHER
        if done.returncode != 0 and _NOTHING in done.stdout:
            return Kept.NOTHING
        if done.returncode != 0:
            raise _failed(f"HTCondor's credd does not say whether it has {name}", done)
        return Kept.READY if _is_served(name, done.stdout) else Kept.WAITING

    def store(self, name: str, narrowing: Narrowing, content: bytes) -> None:
        """Store `content` under `name`. Raises `NotStored`."""
        done = self._run("add-oauth", name, narrowing, "-i", "-", content=content.decode())
        if done.returncode != 0:
            raise _failed(f"HTCondor's credd did not store {name}", done)

    def _run(
        self, deed: str, name: str, narrowing: Narrowing, *more: str, content: str = ""
    ) -> subprocess.CompletedProcess[str]:
        scopes, audience = narrowing
        user = self.environ.get(USER_VARIABLE)
        words = [
            deed,
            *(("-u", user) if user else ()),
            *("-s", name),
            *(("-S", scopes) if scopes else ()),
            *(("-A", audience) if audience else ()),
            *more,
            *self.environ.get(OPTIONS_VARIABLE, "").split(),
        ]
        return _run("condor_store_cred", words, self._environment(), content)

    def _environment(self) -> dict[str, str]:
        if self.host is None:
            return dict(self.environ)
        others = {k: v for k, v in self.environ.items() if k.upper() != f"_CONDOR_{_CREDD}"}
        return {**others, f"_CONDOR_{_CREDD}": self.host}


def config_value(name: str, environ: Mapping[str, str]) -> str | None:
    """Return a setting of HTCondor's; None if it is not set. Raises as `Credd` does."""
    done = _run("condor_config_val", [name], environ)
    return done.stdout.strip() or None if done.returncode == 0 else None


def least_seconds(environ: Mapping[str, str]) -> int:
    """Return how long a token must live for a credmon to take it."""
    try:
        found = config_value(MINIMUM, environ) or ""
    except LocalFileUnfit:  # not an access point, where --check may be asked all the same
        found = ""
    return int(found) if found.isascii() and found.isdigit() else MINIMUM_SECONDS


def _run(
    command: str, words: Sequence[str], environ: Mapping[str, str], content: str = ""
) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join([environ.get("PATH", os.defpath), "/usr/bin", "/usr/sbin"])
    program = shutil.which(command, path=places)
    if program is None:
        raise LocalFileUnfit(
            f"{command} is not on this machine.", "Run this where HTCondor jobs are submitted."
        )
    try:
        return subprocess.run(  # noqa: S603 - the words are arguments, there is no shell
            [program, *words],
            input=content,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            env=dict(environ),
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NotStored(f"{command} did not end within {SECONDS:.0f} s.") from None


def _is_served(name: str, said: str) -> bool:
    """True if there is a token, and it is not one from before what is stored now."""
    if _PENDING in said:
        return False
    stored, fetched = (_time_in(said, one) for one in (f"Top{name}Time", name))
    return stored is None or fetched is None or fetched >= stored


def _time_in(said: str, attribute: str) -> int | None:
    # A name that is no plain word stands in quotes, as ClassAds have it.
    found = re.search(rf"^'?{re.escape(attribute)}'? = (\d+)$", said, re.MULTILINE)
    return int(found[1]) if found else None


def _failed(what: str, done: subprocess.CompletedProcess[str]) -> NotStored:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    last = (
        plain(lines[-1].strip(" ."))[:_LONGEST_WORDS] if lines else f"exit code {done.returncode}"
    )
    if "untrusted host" in done.stderr:
        return NotStored(
            f"{what}: {last}.",
            "TRUSTED_VAULT_HOSTS must list the broker with its port, as in broker.example.org:8200.",
        )
    return NotStored(f"{what}: {last}.")
