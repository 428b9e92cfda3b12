"""The person's own folder for what the storer remembers, so that nothing is shared in a common one.

Of each login it holds the access point's lease, as a lease file, and what was last stored where. A
note is a hash, and a wrong one costs no more than storing the same thing again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker.delivery import lease_file, whole_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.errors import LocalFileUnfit

if TYPE_CHECKING:
    from credbroker.edge.storer.tools import Narrowing
    from credbroker.ports import Entropy


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one login; `stem` is `<issuer>+<role>`."""

    folder: Path
    stem: str
    entropy: Entropy

    @classmethod
    def of(cls, environ: Mapping[str, str], issuer: str, role: str, entropy: Entropy) -> Place:
        """Return the place of a login, its folder made if need be. Raises `LocalFileUnfit`."""
        stem = lease_file.person_path(environ, issuer, role).stem
        folder = lease_file.leases_folder(environ).parent / "condor"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as failure:
            raise LocalFileUnfit(f"{folder} cannot be made: {failure.strerror}.") from None
        return cls(folder, stem, entropy)

    def lock(self, deed: str) -> Path:
        """Return the file whose lock is the turn to do `deed`."""
        return self.folder / f"{self.stem}.{deed}.lock"

    def lease(self) -> LeaseFile | None:
        """Return the access point's lease, if there is one that can be read."""
        with contextlib.suppress(LocalFileUnfit):
            return lease_file.read(self._lease_path)
        return None

    def keep(self, lease: LeaseFile) -> None:
        """Remember the access point's lease. Raises `LocalFileUnfit`."""
        lease_file.write(self._lease_path, lease, self.entropy)

    def forget(self, lease: LeaseFile) -> None:
        """Forget a lease that is over, unless another one is in its place already."""
        if self.lease() == lease:
            whole_file.remove(self._lease_path)

    def notes(self) -> dict[str, str]:
        """Return what was stored: hashes, by credd and name."""
        with contextlib.suppress(LocalFileUnfit, ValueError):
            read = json.loads(whole_file.read(self._notes_path, private=True) or b"{}")
            if isinstance(read, dict):
                return {str(key): str(value) for key, value in read.items()}
        return {}

    def note(self, key: str, digest: str) -> None:
        """Remember what was stored. Raises `LocalFileUnfit`."""
        content = json.dumps(self.notes() | {key: digest}, indent=1).encode()
        whole_file.replace(self._notes_path, content + b"\n", self.entropy)

    @property
    def _lease_path(self) -> Path:
        return self.folder / f"{self.stem}.json"

    @property
    def _notes_path(self) -> Path:
        return self.folder / f"{self.stem}.stored"


def digest(content: bytes, narrowing: Narrowing) -> str:
    """Return the hash of what is stored under a name."""
    scopes, audience = narrowing
    return hashlib.sha256(f"{scopes}\0{audience}\0".encode() + content).hexdigest()
