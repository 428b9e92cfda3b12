"""The lease file: how to reach a broker and the lease to ask under, in one private JSON file.

A person's lease files are `${XDG_STATE_HOME:-~/.local/state}/credbroker/leases/<issuer>+<role>.json`,
in a folder of mode 0700; the plus sign is in no name, so no two logins meet in one file. A job's
lease file lies wherever it was put, also on another machine: it carries the certificate authorities
themselves, not the name of a file. A file that others can read is refused.
"""

from __future__ import annotations

import contextlib
import datetime
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Mapping, Optional

from credbroker.delivery import whole_file
from credbroker.domain.errors import (
    GrantLost,
    LeaseEnded,
    LeaseUnknown,
    LocalFileUnfit,
    LoginNeeded,
    Malformed,
)
from credbroker.domain.lease_tokens import LeaseToken
from credbroker.domain.names import check_short_name
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, parse_object, write_instant, write_object

if TYPE_CHECKING:
    from credbroker.ports import Entropy

# What a lease and more may take on a disk; the probe before a login finds out whether it can.
_PROBE = b" " * 4096


@dataclass(frozen=True)
class LeaseFile:
    """What a lease file says. `job` is None for a person's login.

    With `starts` its secret only begins chains, so often, as `domain.starts` tells. The authorities to
    trust are `ca_pem`, PEM text, or those in the file `ca_file`, or the system's.
    """

    broker: str
    lease_token: Secret
    issuer: str
    role: str
    credkey: str
    scopes: List[str]
    lease_ends_at: datetime.datetime
    ca_file: Optional[str] = None
    issuer_url: Optional[str] = None
    audiences: Optional[List[str]] = None
    job: Optional[str] = None
    ca_pem: Optional[str] = None
    starts: Optional[int] = None

    def shown(self) -> LeaseToken:
        """Return the lease token in its two parts. Raises `LeaseUnknown` if it has another form."""
        return LeaseToken.parse(self.lease_token.reveal())

    @property
    def login_command(self) -> str:
        """Return the command that makes this login anew."""
        return command_to_log_in(self.issuer, self.role)

    @property
    def job_command(self) -> str:
        """Return the command that makes this job's lease anew; how long and where is left open."""
        named = [("--job", self.job or ""), *(("--scope", one) for one in self.scopes)]
        named += [("--audience", one) for one in self.audiences or []]
        options = " ".join(f"{option} {shlex.quote(value)}" for option, value in named)
        return (
            f"credbroker job new {self.issuer} --role {self.role} {options} --for TIME --out FILE"
        )


def write(path: Path, lease: LeaseFile, entropy: Entropy) -> None:
    """Put the lease file at `path`, whole and with mode 0600. Raises `LocalFileUnfit`."""
    content = write_object(
        {
            "broker": lease.broker,
            "ca_file": lease.ca_file,
            "lease_token": lease.lease_token.reveal(),
            "issuer": lease.issuer,
            "issuer_url": lease.issuer_url,
            "role": lease.role,
            "credkey": lease.credkey,
            "scopes": lease.scopes,
            "audiences": lease.audiences,
            "lease_ends_at": write_instant(lease.lease_ends_at),
            "job": lease.job,
            "ca_pem": lease.ca_pem,
            "starts": lease.starts,
        }
    )
    whole_file.replace(path, content + b"\n", entropy)


def read(path: Path) -> LeaseFile:
    """Return what the lease file at `path` says.

    Raises:
        LocalFileUnfit: It is missing, readable by others, somebody else's, or no lease file.
    """
    content = whole_file.read(path, private=True)
    if content is None:
        raise LocalFileUnfit(f"There is no lease file {path}.")
    try:
        return _read_fields(parse_object(content, "The file"))
    except (Malformed, LeaseUnknown) as unread:
        raise LocalFileUnfit(
            f"{path} is not a lease file. {unread.sentence}", "Remove it and make it anew."
        ) from None


def login_remedy(lease: LeaseFile) -> str:
    """Return what to do when this lease is over, be it a login's or a job's."""
    if lease.job is not None:
        return f"Log in with: {lease.login_command}; then make the job a new lease: {lease.job_command}"
    return f"Log in again with: {lease.login_command}"


def command_to_log_in(issuer: Optional[str], role: Optional[str]) -> str:
    """Return the command that makes a login, naming what of it is said."""
    named = f" {issuer}" if issuer else ""
    in_role = f" --role {role}" if role else ""
    return f"credbroker login{named}{in_role}"


def not_logged_in(issuer: Optional[str], role: Optional[str]) -> LoginNeeded:
    """Return the error that there is no login of this issuer and role, or none at all."""
    where = f" at {issuer}" if issuer else ""
    in_role = f" in the role {role}" if role else ""
    return LoginNeeded(
        f"You are not logged in{where}{in_role}.",
        f"Log in with: {command_to_log_in(issuer, role)}",
    )


@contextlib.contextmanager
def naming_the_login(lease: LeaseFile) -> Iterator[None]:
    """Have errors that only a login mends name the exact commands for this very lease."""
    try:
        yield
    except GrantLost as error:  # the lease itself goes on once the grant behind it is mended
        error.remedy = f"Log in again with: {lease.login_command}"
        raise
    except (LeaseEnded, LeaseUnknown) as error:
        error.remedy = login_remedy(lease)
        raise


def leases_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of a person's lease files, whether it is there or not.

    Raises:
        LocalFileUnfit: Neither a variable nor the machine's list of users tells where it is.
    """
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # the XDG specification: a relative path is to be ignored
        state = Path(environ.get("HOME") or _listed_home(), ".local", "state")
    return state / "credbroker" / "leases"


def _listed_home() -> Path:
    try:
        return Path.home()
    except (RuntimeError, KeyError):  # KeyError is what Python 3.9 lets through in places
        raise LocalFileUnfit(
            "It is not known where your logins are kept: you have no home folder here.",
            "Set HOME or XDG_STATE_HOME to a folder of your own.",
        ) from None


def person_path(environ: Mapping[str, str], issuer: str, role: str) -> Path:
    """Return where a person's lease of this issuer and role is kept; raise `Malformed`."""
    name = f"{check_short_name('issuer', issuer)}+{check_short_name('role', role)}.json"
    return leases_folder(environ) / name


def person_paths(
    environ: Mapping[str, str], issuer: Optional[str] = None, role: Optional[str] = None
) -> List[Path]:
    """Return a person's lease files, in order of their names; of one issuer or role if that is said.

    Raises:
        LocalFileUnfit: The folder is there and cannot be read, so nobody knows whether there are any.
    """
    folder = leases_folder(environ)
    try:
        found = sorted(one for one in folder.iterdir() if one.match("*+*.json"))
    except FileNotFoundError:
        return []
    except OSError as failure:
        raise LocalFileUnfit(f"{folder} cannot be read: {failure.strerror}.") from None
    places = ((one, *one.stem.partition("+")) for one in found)
    return [
        one for one, its, _, in_role in places if issuer in {None, its} and role in {None, in_role}
    ]


def only_path(
    environ: Mapping[str, str], issuer: Optional[str], role: Optional[str], how: str
) -> Optional[Path]:
    """Return the person's only lease file of what is said of issuer and role; None if there is none.

    Raises:
        Malformed: There are several; the sentence lists them, and `how` is how to name one.
        LocalFileUnfit: The folder is there and cannot be read.
    """
    paths = person_paths(environ, issuer, role)
    if len(paths) > 1:
        listed = ", ".join(" in the role ".join(one.stem.split("+")) for one in paths)
        raise Malformed(f"You are logged in at {listed}.", how)
    return paths[0] if paths else None


def make_leases_folder(environ: Mapping[str, str], entropy: Entropy) -> None:
    """Make sure a person's lease files can be written to their folder, which is its owner's alone.

    Raises:
        LocalFileUnfit: They could not; the sentence says why.
    """
    folder = leases_folder(environ)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as failure:
        raise LocalFileUnfit(f"{folder} cannot be made: {failure.strerror}.") from None
    probe = folder / ".probe"
    whole_file.replace(probe, _PROBE, entropy)
    whole_file.remove(probe)


def _read_fields(fields: Fields) -> LeaseFile:
    return LeaseFile(
        broker=fields.text("broker"),
        ca_file=fields.optional("ca_file", fields.text),
        lease_token=LeaseToken.parse(fields.text("lease_token")).text(),
        issuer=check_short_name("issuer", fields.text("issuer")),
        issuer_url=fields.optional("issuer_url", fields.text),
        role=check_short_name("role", fields.text("role")),
        credkey=fields.text("credkey"),
        scopes=fields.texts("scopes"),
        audiences=fields.optional("audiences", fields.texts),
        lease_ends_at=fields.instant("lease_ends_at"),
        job=fields.optional("job", fields.text),
        ca_pem=fields.optional("ca_pem", fields.text),
        starts=int(fields.number("starts")) if "starts" in fields else None,
    )
