"""What is wanted at the edge: for each order one file with a fresh token, kept so.

An order says where its file is, under which secret to ask which server for what, and whom to tell.
A source knows the orders of one kind of place: an access point, a host's sessions, a list. The
engine does the rest, and tells the source how each order went.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from credbroker.delivery.token_forms import Form
from credbroker.delivery.whole_file import MayReplace
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken

__all__ = ["Asker", "Form", "Fresh", "Hook", "Order", "Place", "Source"]


@dataclass(frozen=True, slots=True)
class Place:
    """A file and how it is written: `owner` is (uid, gid), None for whoever runs this.

    With `line_end` the content ends with one; several readers of RAW do not strip it. What is there
    and cannot be replaced safely is an error; `delivery.token_file` tells. With `as_owner` all is
    done with the rights of `owner` alone, for a folder of somebody who may mean harm. `may_replace`
    says, by its content, whether a file that is there may go; None replaces any.
    """

    path: Path
    form: Form = Form.RAW
    mode: int = 0o600
    owner: tuple[int, int] | None = None
    line_end: bool = False
    as_owner: bool = False
    may_replace: MayReplace | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """What happens after the file has changed: a command is run, or a program gets a signal.

    A command is its words, without a shell. The program that gets `signal` is the one whose number
    `pid_file` holds.
    """

    command: tuple[str, ...] = ()
    pid_file: Path | None = None
    signal: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """One file that is to be kept fresh.

    Attributes:
        id: Its name in messages, the same for as long as the order stands.
        place: The file.
        server: The name of whom to ask; orders of one server share its bound and its breaker.
        secret: The lease token, or what else the server knows the asker by.
        scopes: What to ask for; None for all that the secret gives.
        audiences: For whom; None for all that the secret gives.
        minimum_seconds: How long a token must still live when it is delivered.
        longest_seconds: How old a file may get before it is renewed; None if its token's life alone
            decides.
        path_on_server: Where on the server, if there is more than one place to ask.
        about: The user whom the token is to be about, where that is not whose secret it is.
        version: Whatever changes when the order was placed anew; a file that was written for another
            version is renewed at once.
        hook: Whom to tell.
    """

    id: str
    place: Place
    server: str
    secret: Secret
    scopes: tuple[str, ...] | None = None
    audiences: tuple[str, ...] | None = None
    minimum_seconds: int = 0
    longest_seconds: float | None = None
    path_on_server: str = ""
    about: str = ""
    version: str = ""
    hook: Hook | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A token that came for an order; ask again in `renew_seconds`."""

    token: AccessToken
    renew_seconds: float


class Asker(Protocol):
    """The way to one server."""

    most_at_once: int
    """How many orders go into one request."""

    async def ask(self, orders: Sequence[Order]) -> Sequence[Fresh | CredbrokerError]:
        """Return for each order, in order, its token or why there is none.

        Raises `CredbrokerError` only for what befalls all of them, as an unreachable server.
        """


class Source(Protocol):
    """Who knows the orders of one kind of place."""

    def orders(self) -> Mapping[str, Order]:
        """Return the orders as they stand now, by id. Quick: it is called whenever they changed."""

    def found(self, order: Order) -> AccessToken | None:
        """Return the token that lies in the order's file already and serves it; None if there is none.

        It is asked once for each order, before the first delivery: after a restart nothing that is
        fresh is fetched again.
        """

    async def changed(self) -> None:
        """Return as soon as `orders` may return something else."""

    def delivered(self, order: Order, fresh: Fresh) -> None:
        """Take note that the order's file now holds this token."""

    def failed(self, order: Order, error: CredbrokerError) -> None:
        """Take note that there was no new token, or that it could not be written; the file stays.

        Or its hook failed, after `delivered`: the file is new and somebody may not know.
        """
