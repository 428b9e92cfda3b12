"""The development issuer in a thread of its own, so that a test may wait for programs that ask it.

- It starts at a port that it keeps, and ends with `stop`.
- Whatever is asked of it is asked in its own thread: `call`.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import TYPE_CHECKING, TypeVar

from credbroker.demo.issuer.server import DevIssuer
from credbroker.demo.issuer.settings import (
    ANY_AUDIENCE,
    Client,
    IssuerSettings,
    Lifetimes,
    Person,
    RefreshPolicy,
)
from credbroker.demo.private_files import write_private
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from credbroker.demo.certificates import Authority

T = TypeVar("T")

CLIENT_ID = "credbroker"
PEOPLE = ("ada", "bob", "carol", "dora", "grouppro")
ACCESS_SECONDS = 3600
ANSWER_SECONDS = 20.0

__all__ = ["ANY_AUDIENCE", "CLIENT_ID", "PEOPLE", "IssuerThread", "password_of"]


def password_of(person: str) -> str:
    """Return what somebody types at the issuer."""
    return f"{person}'s word"


class IssuerThread:
    """One development issuer on 127.0.0.1 with TLS, which rotates and punishes replays.

    Attributes:
        client_secret_file: The broker's secret there (mode 0600).
    """

    def __init__(self, folder: Path, authority: Authority, redirect_uri: str) -> None:
        """Register one client that may be sent back to `redirect_uri`; nothing runs yet."""
        secret = SystemEntropy().token(32)
        self.client_secret_file = folder / "client-secret"
        write_private(self.client_secret_file, secret.encode())
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*authority.issue("issuer", folder))
        self._dev = DevIssuer(_settings(secret, redirect_uri), SystemClock(), SystemEntropy(), tls)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="issuer")

    @property
    def url(self) -> str:
        """Return the issuer string."""
        return self._dev.url

    @property
    def refresh_tokens(self) -> list[str]:
        """Return every refresh token that was given out so far."""
        return self.call(lambda dev: _known(dev.refresh_tokens_issued))

    def start(self) -> None:
        """Start the issuer; afterwards it answers."""
        self._thread.start()
        self.call(lambda dev: dev.start())

    def stop(self) -> None:
        """End the issuer and its thread."""
        self.call(lambda dev: dev.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_SECONDS)
        self._loop.close()

    def call(self, asked: Callable[[DevIssuer], Awaitable[T]]) -> T:
        """Do something with the issuer in its own thread and return what came of it."""

        async def doing() -> T:
            return await asked(self._dev)

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(ANSWER_SECONDS)

    def change(self, change: Callable[[DevIssuer], object]) -> None:
        """Change the issuer in its own thread, as by a fault that is switched on."""

        async def doing() -> None:
            change(self._dev)

        asyncio.run_coroutine_threadsafe(doing(), self._loop).result(ANSWER_SECONDS)


async def _known(values: list[str]) -> list[str]:
    return list(values)


def _settings(secret: str, redirect_uri: str) -> IssuerSettings:
    return IssuerSettings(
        clients=(Client(CLIENT_ID, secret, redirect_uris=(redirect_uri,)),),
        people=tuple(Person(name, password_of(name)) for name in PEOPLE),
        lifetimes=Lifetimes(access=ACCESS_SECONDS),
        refresh_policy=RefreshPolicy.ROTATE_REVOKE_FAMILY,
    )
