"""The lease file: how to reach a broker and the lease to ask under, in one private JSON file.

A person's lease files are `${XDG_STATE_HOME:-~/.local/state}/credbroker/leases/<issuer>+<role>.json`,
in a folder of mode 0700; the plus sign is in no name, so no two logins meet in one file. A job's
lease file lies wherever it was put. A file that others can read is refused.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, List, Mapping, Optional

from credbroker.delivery import whole_file
from credbroker.domain.errors import LeaseUnknown, LocalFileUnfit, Malformed
from credbroker.domain.leases import LeaseToken
from credbroker.domain.names import check_short_name
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, parse_object, write_instant, write_object

if TYPE_CHECKING:
    from credbroker.ports import Entropy


@dataclass(frozen=True)
class LeaseFile:
    """What a lease file says. `job` is None for a person's login."""

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

    @property
    def login_command(self) -> str:
        """Return the command that makes this login anew."""
        return f"credbroker login {self.issuer} --role {self.role}"


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


def leases_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of a person's lease files, whether it is there or not."""
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # the XDG specification: a relative path is to be ignored
        state = Path(environ.get("HOME") or Path.home(), ".local", "state")
    return state / "credbroker" / "leases"


def person_path(environ: Mapping[str, str], issuer: str, role: str) -> Path:
    """Return where a person's lease of this issuer and role is kept; raise `Malformed`."""
    name = f"{check_short_name('issuer', issuer)}+{check_short_name('role', role)}.json"
    return leases_folder(environ) / name


def person_paths(environ: Mapping[str, str]) -> List[Path]:
    """Return a person's lease files, in order of their names."""
    return sorted(leases_folder(environ).glob("*+*.json"))


def make_leases_folder(environ: Mapping[str, str]) -> None:
    """Make sure the folder of a person's lease files is there, for its owner alone."""
    folder = leases_folder(environ)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as failure:
        raise LocalFileUnfit(f"{folder} cannot be made: {failure.strerror}.") from None


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
    )
