"""Signs tokens for files, thousands at a request, for a service of a community.

- Each entry is held against the service's policy for itself. What was decided for one file of a folder
  is taken for the next one only where the policy covers the whole folder.
- What is refused to one entry befalls no other.
- They are signed in pieces, so that others get their turn; the lines of a piece are on the audit trail
  before any token of it is given out.
- A URL with a token in it, which services write to their logs, is for reading one file at one storage,
  for minutes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from credbroker.broker.issuing.signing import AT_ONCE, Statement
from credbroker.broker.trail import own_traces, shared_traces, whence
from credbroker.domain.clients import Client
from credbroker.domain.errors import (
    AudienceRefused,
    BrokerFault,
    CredbrokerError,
    Malformed,
    Refused,
    ScopeRefused,
)
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Asked, decide
from credbroker.domain.scopes import STORAGE, ScopeSet
from credbroker.domain.storage_verdict import storage_at
from credbroker.domain.tokens import LotToken
from credbroker.ports import Audit
from credbroker.wire.files import FORMS, AskFile

URL_SECONDS = 900
"""How long a token lives at most that stands in a URL."""

_LEAF = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9._~-]{1,255}\Z")
_LONGEST_PATH = 768
_NAMES = frozenset(f"{name}:" for name in STORAGE)
# What may stand in a URL as it is, and in JSON (RFC 3986 section 2).
_URL = re.compile(r"https://[A-Za-z0-9._~:/?\[\]@!$&()*+,;=%-]{1,2048}\Z")

if TYPE_CHECKING:
    from credbroker.broker.issuing.granting import ClientCaller

log = structlog.get_logger(__name__)


class Signs(Protocol):
    """Signs for one community; `broker.issuing.signing.Signing` does."""

    url: str
    community: str

    async def sign_many(self, asked: Sequence[tuple[Statement, str]]) -> list[LotToken]:
        """Return a new token for each, in their order, or raise for the first fault.

        It has the text beside its statement for scopes.
        """


class FileSigned(NamedTuple):
    """A token for an entry, and the URL that it is to stand in, if one was asked for.

    `is_wider` where the token has scopes beyond those that were asked for.
    """

    token: LotToken
    url: str | None = None
    is_wider: bool = False


class _Ready(NamedTuple):
    """An entry that may be signed."""

    place: int
    decided: _Decided
    scope: str
    url: str | None


FileOutcome = FileSigned | CredbrokerError


class FilesSigning:
    """Signs for the files of one community."""

    def __init__(
        self,
        signing: Signs,
        table: LifetimeTable,
        audit: Audit,
        judge_client: Callable[[str], None],
    ) -> None:
        """Sign by `signing` what policy allows, for as long as `table` has it.

        `judge_client` raises for the id of a client that a revocation concerns.
        """
        self._signing = signing
        self._judge_client = judge_client
        self._table = table
        self._audit = audit

    async def sign(
        self, caller: ClientCaller, entries: Sequence[AskFile | Malformed]
    ) -> AsyncIterator[list[FileOutcome]]:
        """Give out what became of the entries, in their order, piece by piece.

        Raises `ClientNotAllowed` before the first piece if the service may have no tokens of its own.
        """
        caller.client.check_may("client_credentials")
        policy = _Policy(caller.client, self._table)
        pieces = (
            _Piece(policy, entries[start : start + AT_ONCE])
            for start in range(0, len(entries), AT_ONCE)
        )
        piece, written = next(pieces, None), None
        while piece is not None:
            # While one piece is being signed, the one before goes to the disk, and the next is judged.
            _, _, following = await asyncio.gather(
                self._sign(caller, piece), self._write_down(caller, written), _following(pieces)
            )
            if written is not None:
                yield written.in_order()
            piece, written = following, piece
        if written is not None:
            await self._write_down(caller, written)
            yield written.in_order()

    async def _sign(self, caller: ClientCaller, piece: _Piece) -> None:
        if not piece.ready:
            return
        try:
            tokens = await self._signing.sign_many(
                [(one.decided.statement, one.scope) for one in piece.ready]
            )
            self._judge_client(caller.client.id)  # now that the revocations are known to be recent
            piece.signed = tokens
        except CredbrokerError as error:
            piece.refuse_ready(error)
        except Exception:
            log.exception("broker_fault", client=caller.client.id)
            piece.refuse_ready(BrokerFault("Something went wrong inside the broker."))

    async def _write_down(self, caller: ClientCaller, piece: _Piece | None) -> None:
        """Have the trail say what was signed and refused; what it cannot say is not given out."""
        if piece is None:
            return
        both = list(zip(piece.signed, piece.ready, strict=True))
        try:
            await self._record_signed(caller, both)
        except CredbrokerError as error:
            piece.refuse_ready(error)
        else:
            for token, one in both:
                piece.outcomes[one.place] = FileSigned(token, one.url, one.decided.is_wider)
        await self._record_refused(caller, piece.outcomes)

    async def _record_signed(
        self, caller: ClientCaller, both: Sequence[tuple[LotToken, _Ready]]
    ) -> None:
        """Write down each token; what those of a lot have in common is put into words once."""
        lots = {id(token.lot): token.lot for token, _ in both}
        lines: dict[int, list[dict[str, object]]] = {lot: [] for lot in lots}
        for token, one in both:
            lines[id(token.lot)].append(_line(token, one))
        about = {**self._about(caller), "iss": self._signing.url, "sub": caller.client.id}
        await asyncio.gather(
            *[
                self._audit.record_all("sign", lines[at], **about, **shared_traces(lot))
                for at, lot in lots.items()
            ]
        )

    async def _record_refused(self, caller: ClientCaller, outcomes: dict[int, FileOutcome]) -> None:
        """Write each refusal down; what cannot be written down is answered with that."""
        refused = {at: one for at, one in outcomes.items() if isinstance(one, Refused)}
        if not refused:
            return
        lines = [{"error": one.code, "why": one.sentence} for one in refused.values()]
        try:
            await self._audit.record_all("refused", lines, **self._about(caller))
        except CredbrokerError as error:
            outcomes.update(dict.fromkeys(refused, error))

    def _about(self, caller: ClientCaller) -> dict[str, object]:
        return {
            **whence(caller.origin),
            "community": self._signing.community,
            "client_id": caller.client.id,
            "by": "files",
        }


@dataclass(frozen=True, slots=True)
class _Decided:
    """What is signed for a file: in which words, and the names of its scopes, each with its colon."""

    statement: Statement
    names: tuple[str, ...]
    is_wider: bool

    def scope(self, path: str) -> str:
        """Return the text of the scopes for this path."""
        if len(self.names) == 1:
            return self.names[0] + path
        return " ".join([name + path for name in self.names])


class _Piece:
    """Some entries: those that are to be signed, and what became of the others."""

    def __init__(self, policy: _Policy, entries: Sequence[AskFile | Malformed]) -> None:
        self.outcomes: dict[int, FileOutcome] = {}
        self.ready: list[_Ready] = []
        self.signed: list[LotToken] = []
        for place, entry in enumerate(entries):
            try:
                self.ready.append(policy.judged(place, entry))
            except CredbrokerError as error:
                self.outcomes[place] = error

    def refuse_ready(self, error: CredbrokerError) -> None:
        """Answer all that were to be signed with this."""
        self.outcomes.update({one.place: error for one in self.ready})
        self.ready, self.signed = [], []

    def in_order(self) -> list[FileOutcome]:
        """Return what became of each entry."""
        return [self.outcomes[place] for place in range(len(self.outcomes))]


class _Policy:
    """What is decided in the course of one request."""

    def __init__(self, client: Client, table: LifetimeTable) -> None:
        self._client = client
        self._table = table
        self._by_folder: dict[object, _Decided] = {}

    def judged(self, place: int, entry: AskFile | Malformed) -> _Ready:
        """Return an entry as it is to be signed. Raises `Refused` kinds."""
        if isinstance(entry, Malformed):
            raise entry
        audience = entry.audience or _storage_of(entry)
        folder, slash, leaf = entry.path.rpartition("/")
        key = (folder, audience, entry.lifetime_seconds, entry.form, *entry.access)
        if entry.form == "url":
            _check_url(entry, audience)
        is_usual = slash and _LEAF.match(leaf) is not None and len(entry.path) <= _LONGEST_PATH
        decided = self._by_folder.get(key) if is_usual else None
        if decided is None:
            decided = self._decided(entry, audience)
            if is_usual and self._covers_all(folder, decided):
                self._by_folder[key] = decided
        url = entry.url if entry.form == "url" else None
        return _Ready(place, decided, decided.scope(entry.path), url)

    def _decided(self, entry: AskFile, audience: str) -> _Decided:
        names = _names(entry)
        scopes = ScopeSet.of([name + entry.path for name in names])
        asked = Asked(scopes, (audience,), entry.lifetime_seconds)
        decision = decide(self._client.entitled, asked, self._table)
        seconds = min(decision.seconds, URL_SECONDS) if entry.form == "url" else decision.seconds
        right, id_ = decision.right, self._client.id
        signed = tuple(f"{item.name}:" for item in right.scopes)
        return _Decided(
            Statement(id_, id_, right.scopes, right.audiences, seconds),
            signed,
            is_wider=not set(signed) <= set(names),
        )

    def _covers_all(self, folder: str, decided: _Decided) -> bool:
        below = ScopeSet.parse(decided.scope(folder + "/"))
        return not len(self._client.entitled.scopes.missing(below))


async def _following(pieces: Iterator[_Piece]) -> _Piece | None:
    return next(pieces, None)


def _names(entry: AskFile) -> tuple[str, ...]:
    if entry.form not in FORMS or (
        entry.lifetime_seconds is not None and entry.lifetime_seconds < 1
    ):
        raise Malformed("An entry's form is token or url, its lifetime a second or more.")
    names = tuple(dict.fromkeys([f"storage.{one}:" for one in entry.access]))
    if not names or not _NAMES.issuperset(names):
        raise Malformed("An entry's access is a list of read, create, modify, stage and poll.")
    return names


def _storage_of(entry: AskFile) -> str:
    if entry.url is None:
        raise AudienceRefused("An entry names the storage by its audience or by the file's url.")
    return storage_at(entry.url).audiences[0]


def _check_url(entry: AskFile, audience: str) -> None:
    """Raise unless a token for this entry may stand in its URL."""
    url = entry.url or ""
    if not _URL.match(url) or "authz=" in url:
        raise Malformed("A URL that is to be signed begins with https:// and has no token yet.")
    if entry.access != ["read"] or entry.path.endswith("/"):
        raise ScopeRefused("A URL that holds a token is for reading one file.")
    if not url.partition("?")[0].endswith(entry.path):
        raise ScopeRefused("The URL does not end with the path that its token is to be for.")
    if audience not in storage_at(url).audiences:
        raise AudienceRefused("A URL that holds a token is for its own host alone.")


def _line(token: LotToken, one: _Ready) -> dict[str, object]:
    own = own_traces(token.scope, token.jti, token.value)
    return own if one.url is None else {"form": "url", **own}
