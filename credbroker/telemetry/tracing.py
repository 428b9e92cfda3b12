"""Follows a token, a lease, a job, a person or a host through the trails of all replicas.

- What was made of the selection belongs to it: leases from its leases, tokens given to these, tokens
  and refresh tokens that came of those by exchange. Of where it comes from there are the lines that made
  its leases, up to the login; not what else those leases got.
- A token, or a request, is followed back to the token that was exchanged for it, and to the lease by
  which that was had; not to what else came of these.
- The files are read twice, side by side in order of time, and once more for each such exchange. What is
  kept meanwhile is an entry for each lease that was ever made and for each token of the selection, not
  for each token.
- A line that cannot be read is counted and passed over: `audit verify` names it.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from credbroker.domain.revocations import Kind, check_name, is_address
from credbroker.telemetry.trail_files import raw_lines

# Where a chain of leases begins, or a chain of a job's starts.
_ROOTS = frozenset({"login", "kerberos_login", "ssh_login", "host_session", "delivery_consented"})
_MARKS = frozenset({"contained", "containment_lifted"})


class AuditLine(msgspec.Struct, frozen=True, gc=False):
    """What of a line of the trail leads to others, or tells people who, what and from where."""

    time: str
    event: str
    replica: str = ""
    request_id: str = ""
    address: str = ""
    host: str = ""
    target: str = ""
    lease: str = ""
    child: str = ""
    job: str = ""
    for_job: str = ""
    issuer: str = ""
    credkey: str = ""
    sub: str = ""
    client_id: str = ""
    community: str = ""
    iss: str = ""
    jti: str = ""
    subject_jti: str = ""
    offline: str = ""
    delivery: str = ""
    scope: str = ""
    error: str = ""
    kind: str = ""
    name: str = ""

    @property
    def person(self) -> str:
        """Whose grant it is about, as `contain person` takes it; empty if nobody's."""
        return f"{self.issuer}/{self.credkey}" if self.issuer and self.credkey else ""

    @property
    def origin(self) -> str:
        """Where it was asked from: a host by name or the peer's address."""
        return self.host or self.address


class Followed(enum.Enum):
    """What may be followed: all that can be contained, and one request."""

    LEASE = Kind.LEASE.value
    PERSON = Kind.PERSON.value
    JOB = Kind.JOB.value
    HOST = Kind.HOST.value
    ISSUER = Kind.ISSUER.value
    CLIENT = Kind.CLIENT.value
    TOKEN = Kind.TOKEN.value
    REQUEST = "request"


# What may have come of another token by exchange, and is little enough to be followed back.
_EXCHANGED = frozenset({Followed.TOKEN, Followed.REQUEST})


@dataclass(frozen=True, slots=True)
class Selection:
    """What is followed, by the name that `contain` takes for it."""

    kind: Followed
    name: str

    @classmethod
    def of(cls, kind: Followed, name: str) -> Selection:
        """Return a selection of this name in the one form that counts. Raises `Malformed`."""
        return cls(kind, name if kind is Followed.REQUEST else check_name(Kind(kind.value), name))

    def covers(self, line: AuditLine) -> bool:
        """True if the line is about this by its own words."""
        marked = line.event in _MARKS and (line.kind, line.name) == (self.kind.value, self.name)
        return marked or _COVERS[self.kind](line, self.name)


def _of_person(line: AuditLine, name: str) -> bool:
    return line.person == name or line.person.startswith(name + "/")


def _of_client(line: AuditLine, name: str) -> bool:
    community, _, client_id = name.partition("/")
    if client_id not in {line.client_id, line.sub}:
        return False
    # Other lines about a person's grant name the broker's own client at their issuer. Of the rest, older
    # ones do not say of which community they are.
    return line.community == community if line.community else not line.credkey


def _on_host(line: AuditLine, name: str) -> bool:
    if name in {line.host, line.target, line.address}:
        return True
    # The same address may be written in several ways.
    return is_address(name) and bool(line.address) and check_name(Kind.HOST, line.address) == name


_COVERS: dict[Followed, Callable[[AuditLine, str], bool]] = {
    Followed.LEASE: lambda line, name: name in {line.lease, line.child},
    Followed.PERSON: _of_person,
    Followed.JOB: lambda line, name: name in {line.job, line.for_job},
    Followed.HOST: _on_host,
    Followed.ISSUER: lambda line, name: line.issuer == name,
    Followed.CLIENT: _of_client,
    Followed.TOKEN: lambda line, name: name in {line.jti, line.subject_jti},
    Followed.REQUEST: lambda line, name: line.request_id == name,
}


class _Made:
    """Which lease was made from which. A delivered one is of the host's session and of the order."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, ...]] = {}
        self._orders: dict[str, str] = {}

    def note(self, line: AuditLine) -> None:
        """Learn from a line that tells of a new lease."""
        if not line.child:
            return
        if line.event == "delivery_consented":
            self._orders[line.delivery] = line.child
        # An order's lease is looked up later: other replicas' lines may tell of it.
        self._parents[line.child] = (line.lease, line.delivery)

    def parents(self, lease: str) -> Iterable[str]:
        """Return what a lease was made from."""
        parent, order = self._parents.get(lease, ("", ""))
        standing = self._orders.get(order, "")
        return [one for one in (parent, standing) if one and one != lease]

    def children(self) -> Callable[[str], Iterable[str]]:
        """Return what tells what was made from a lease."""
        children: dict[str, list[str]] = {}
        for child in self._parents:
            for parent in self.parents(child):
                children.setdefault(parent, []).append(child)
        return lambda lease: children.get(lease, ())


@dataclass(slots=True)
class Trace:
    """What belongs to a selection, and who and where it touches, once all was read.

    `leases` are the selection's own and all below them, `from_tokens` those that were exchanged for it;
    `asked_by` are the leases that the lines of both name as asking, `from_leases` all of these and those
    above. `signed` are those of its tokens that are our own.
    """

    selection: Selection
    leases: set[str] = field(default_factory=set)
    from_tokens: set[str] = field(default_factory=set)
    from_leases: set[str] = field(default_factory=set)
    asked_by: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    signed: set[str] = field(default_factory=set)
    offlines: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)
    origins: set[str] = field(default_factory=set)
    lines: int = 0
    unreadable: int = 0

    def follow(self, files: Sequence[Path]) -> Iterator[tuple[AuditLine, bytes]]:
        """Yield each line that belongs, parsed and as it stands in its file, in order of time.

        Raises `LocalFileUnfit`.
        """
        made = _Made()
        for line, _ in self._read(files):
            made.note(line)
            if self.selection.covers(line):
                self._begin(line)
        self._look_back(files)
        self._spread(made)
        self.unreadable = 0  # each is met again
        for line, raw in self._read(files):
            if self._belongs(line):
                self._note(line)
                yield line, raw

    def _read(self, files: Sequence[Path]) -> Iterator[tuple[AuditLine, bytes]]:
        """Walk all files side by side; each is open for as long as its own time lasts."""
        begins = deque(sorted(_begins(file) for file in files))
        open_now: list[tuple[str, int, AuditLine, bytes, Iterator[tuple[AuditLine, bytes]]]] = []
        number = 0
        while begins or open_now:
            if begins and (not open_now or begins[0][0] <= open_now[0][0]):
                lines = self._of_file(begins.popleft()[1])
            else:
                *_, line, raw, lines = heapq.heappop(open_now)
                yield line, raw
            for line, raw in lines:
                number += 1  # of two lines at one time the one that was read first comes first
                heapq.heappush(open_now, (line.time, number, line, raw, lines))
                break

    def _of_file(self, file: Path) -> Iterator[tuple[AuditLine, bytes]]:
        for raw in raw_lines(file):
            try:
                yield _DECODER.decode(raw), raw
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.unreadable += raw.endswith(b"\n")  # half a line is being written

    def _begin(self, line: AuditLine) -> None:
        """Learn from a line that the selection covers what else belongs to it."""
        if self.selection.kind is Followed.LEASE:
            self.leases.add(self.selection.name)
        elif line.child:
            self.leases.add(line.child)
        self.asked_by.update(filter(None, [line.lease]))
        if line.jti and self.selection.kind is not Followed.LEASE:
            self.tokens.add(line.jti)
        if self.selection.kind in _EXCHANGED and line.subject_jti != self.selection.name:
            self.from_tokens.update(filter(None, [line.subject_jti]))

    def _look_back(self, files: Sequence[Path]) -> None:
        """Learn of the tokens that were exchanged for the selection, and of who asked for the first."""
        sought = self.from_tokens
        while sought:
            earlier: set[str] = set()
            for line, _ in self._read(files):
                if line.jti in sought:
                    self.asked_by.update(filter(None, [line.lease]))
                    earlier.update(filter(None, [line.subject_jti]))
            sought = earlier - self.from_tokens
            self.from_tokens |= sought

    def _spread(self, made: _Made) -> None:
        """Learn of every lease below those that belong, and above those that it came by."""
        _reach(self.leases, made.children())
        self.from_leases |= self.leases | self.asked_by
        _reach(self.from_leases, made.parents)

    def _belongs(self, line: AuditLine) -> bool:
        if self.selection.covers(line) or line.lease in self.leases:
            return True
        if line.subject_jti in self.tokens or line.offline in self.offlines:
            return True
        if line.child in self.from_leases or line.jti in self.from_tokens:
            return True
        if line.jti in self.tokens and not line.lease:
            return True  # it was signed or revoked; who else got the same token is not asked
        return line.event in _ROOTS and line.lease in self.from_leases

    def _note(self, line: AuditLine) -> None:
        self.lines += 1
        is_above = line.lease in self.from_leases - self.leases or line.jti in self.from_tokens
        if not is_above or self.selection.covers(line):
            self.tokens.update(filter(None, [line.jti]))
            self.signed.update(filter(None, [line.jti if line.iss else ""]))
            self.offlines.update(filter(None, [line.offline]))
        self.people.update(filter(None, [line.person]))
        self.jobs.update(filter(None, [line.job, line.for_job]))
        self.origins.update(filter(None, [line.origin]))


def _begins(file: Path) -> tuple[str, Path]:
    """Return when the first line of a file was written that can be read; at once if there is none."""
    for raw in raw_lines(file):
        try:
            return _DECODER.decode(raw).time, file
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return "", file


def _reach(found: set[str], next_to: Callable[[str], Iterable[str]]) -> None:
    """Add to `found` all that is reached from it."""
    waiting = list(found)
    while waiting:
        new = [one for one in next_to(waiting.pop()) if one not in found]
        found.update(new)
        waiting += new


_DECODER = msgspec.json.Decoder(AuditLine)
