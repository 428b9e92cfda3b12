"""Kerberos tickets: which settings they are looked for with, and what is said without them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from credbroker.client.tickets import VARIABLE, first_message
from credbroker.domain.errors import LocalFileUnfit

EXPIRED = "Major (851968): Unspecified, Minor (1): Ticket expired"
NO_CACHE = "Major (458752): None, Minor (2): No Kerberos credentials available"


class GssError(Exception):
    """A failure as the library tells it."""

    def gen_message(self) -> str:
        """Return what the library says."""
        return str(self.args[0])


class FakeGssapi(ModuleType):
    """The library, which fails as planned and keeps the settings it was called with."""

    def __init__(self, environ: dict[str, str], *failures: str) -> None:
        """Fail so often, then give a message."""
        super().__init__("gssapi")
        self.environ, self.failures = environ, list(failures)
        self.seen: list[str] = []
        self.names: list[str] = []
        self.exceptions = SimpleNamespace(GSSError=GssError)
        self.NameType = SimpleNamespace(hostbased_service="hostbased")

    def Name(self, base: str, _: str) -> str:  # noqa: N802 - its name in the library
        """Keep whom a ticket is for."""
        self.names.append(base)
        return base

    def SecurityContext(self, **_: object) -> SimpleNamespace:  # noqa: N802 - its name in the library
        """Return what makes the message."""
        return SimpleNamespace(step=self._step)

    def _step(self) -> bytes:
        files = self.environ[VARIABLE]
        own = Path(files.partition(":")[0])
        assert "rdns = false" in own.read_text()
        self.seen.append(files.replace(str(own), "OWN"))
        if self.failures:
            raise GssError(self.failures.pop(0))
        return b"message"


def install(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *failures: str) -> FakeGssapi:
    """Have the library fail so."""
    fake = FakeGssapi(environ, *failures)
    monkeypatch.setitem(sys.modules, "gssapi", fake)
    return fake


def test_the_machines_settings_are_used_only_if_it_fails_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They may know another realm alone; afterwards the environment is as it was."""
    environ: dict[str, str] = {}
    fake = install(monkeypatch, environ)
    assert first_message("h.example.org", environ) == b"message"
    assert (fake.seen, fake.names) == (["OWN"], ["host@h.example.org"])
    fake = install(monkeypatch, environ, NO_CACHE)
    assert first_message("h", environ) == b"message"
    assert fake.seen == ["OWN", "OWN:/etc/krb5.conf"]
    assert environ == {}


def test_settings_that_are_named_come_behind_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are named as before afterwards."""
    environ = {VARIABLE: "/my.conf"}
    fake = install(monkeypatch, environ)
    first_message("h", environ)
    assert fake.seen == ["OWN:/my.conf"]
    assert environ == {VARIABLE: "/my.conf"}


@pytest.mark.parametrize(("failure", "tries"), [(EXPIRED, 1), (NO_CACHE, 2)])
def test_why_there_is_no_ticket_is_told(
    monkeypatch: pytest.MonkeyPatch, failure: str, tries: int
) -> None:
    """An expired one does not get better with other settings."""
    environ: dict[str, str] = {}
    fake = install(monkeypatch, environ, *[failure] * 2)
    with pytest.raises(LocalFileUnfit, match=failure.rpartition(": ")[2]):
        first_message("h", environ)
    assert len(fake.seen) == tries


def test_without_the_library_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other ways to log in are left."""
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(LocalFileUnfit, match="gssapi is not here"):
        first_message("h", {})
