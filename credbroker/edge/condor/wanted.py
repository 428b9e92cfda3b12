"""From a user's files to orders: what each name wants, of whom, under which secret.

A name without a secret of its own uses its parent's. What is wrong with one name is an error about
that name, in a sentence for the log; its neighbours are served.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass

from credbroker.domain.errors import CredbrokerError, LocalFileUnfit, Malformed
from credbroker.domain.secret import Secret
from credbroker.edge.condor.folder import META, TOP, USE, Folder, Seen
from credbroker.edge.condor.names import Kind, parent
from credbroker.edge.condor.settings import LocalTokens, Settings
from credbroker.edge.condor.top_file import TopFile, read_top
from credbroker.edge.condor.vault_url import read_vault_url
from credbroker.edge.orders import Form, Order, Place

LEASE = "lease"
VAULT = "vault"
LOCAL = "local"
_ROOT = 0
_USER = "{username}"


@dataclass(frozen=True, slots=True)
class Standing:
    """The access point's standing lease, and the broker that gave it."""

    broker: str
    lease_token: Secret
    tokens: LocalTokens


@dataclass(frozen=True, slots=True)
class Wanted:
    """One name of a user: exactly one of order and problem is there.

    `since_ns` is when it was last asked for anew, in ns and UTC, as the files' times say.
    """

    order: Order | None
    problem: CredbrokerError | None
    since_ns: int

    def age_seconds(self, now: datetime.datetime) -> float:
        """Return how long ago that was."""
        return now.timestamp() - self.since_ns / 1e9


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what the users want, by these settings."""

    folder: Folder
    settings: Settings
    standing: Standing | None = None

    def names(self, files: Mapping[str, Seen]) -> list[str]:
        """Return the names among a user's files that are this credmon's to serve."""
        tops = (file.removesuffix(TOP) for file in files if file.endswith(TOP))
        return [name for name in tops if self._kind(name, files) is not None]

    def wanted(self, user: str, name: str, files: Mapping[str, Seen]) -> Wanted:
        """Return what one of those names wants."""
        since_ns = max(files[one].changed_ns for one in self.sources(name, files))
        try:
            if self._kind(name, files) is Kind.LOCAL:
                return Wanted(self._local(user, name, files), None, since_ns)
            return Wanted(self._vault(user, name, files), None, since_ns)
        except CredbrokerError as problem:
            return Wanted(None, problem, since_ns)

    def sources(self, name: str, files: Mapping[str, Seen]) -> list[str]:
        """Return the files that say what the name wants: its own, and its parent's if there is one."""
        elder = parent(name)
        both = [name + TOP] + ([elder + TOP] if elder else [])
        return [one for one in both if one in files]

    def _kind(self, name: str, files: Mapping[str, Seen]) -> Kind | None:
        # A .meta beside it: HTCondor's own credmon refreshes this one, from a web login.
        return None if name + META in files else self.settings.claims.kind(name)

    def _vault(self, user: str, name: str, files: Mapping[str, Seen]) -> Order:
        top = self._top(user, name)
        holder = top if top.vault_token is not None else self._parent(user, name)
        if holder.vault_token is None:
            raise Malformed("Neither its .top file nor its parent's holds a vault_token.")
        place = read_vault_url(top.vault_url, self.settings.trusted_hosts)
        # Behind an HTVault an issuer may hang; that is not to be the trouble of those beside it.
        server = LEASE if holder.is_lease else VAULT
        issuer = "" if holder.is_lease or not place.issuer else f" {place.issuer}"
        return Order(
            id=f"{user}/{name}",
            place=self._place(user, name),
            server=f"{server}+{place.address}{issuer}",
            secret=holder.vault_token,
            scopes=top.scopes,
            audiences=top.audiences,
            minimum_seconds=self.settings.minimum_seconds,
            longest_seconds=self.settings.refresh_seconds,
            path_on_server=place.path,
            version=self._version(name, files),
        )

    def _local(self, user: str, name: str, files: Mapping[str, Seen]) -> Order:
        if self.standing is None:
            raise LocalFileUnfit("The standing lease of this access point cannot be read.")
        tokens = self.standing.tokens
        return Order(
            id=f"{user}/{name}",
            place=self._place(user, name, Form.JSON if tokens.as_json else Form.RAW),
            server=f"{LOCAL}+{self.standing.broker}",
            secret=self.standing.lease_token,
            scopes=tuple(tokens.authorization.replace(_USER, user).split()),
            audiences=tokens.audiences or None,
            about=user,
            version=self._version(name, files),
        )

    def _place(self, user: str, name: str, form: Form = Form.RAW) -> Place:
        path = self.folder.path / user / (name + USE)
        # A pool that runs without root reads its own files only.
        owner = (_ROOT, _ROOT) if os.geteuid() == _ROOT else None
        return Place(path, form, mode=0o400, owner=owner, line_end=True)

    def _version(self, name: str, files: Mapping[str, Seen]) -> str:
        seen = [files[one] for one in self.sources(name, files)]
        return "+".join(f"{one.inode}.{one.changed_ns}" for one in seen)

    def _parent(self, user: str, name: str) -> TopFile:
        elder = parent(name)
        if elder is None:
            raise Malformed("Its .top file holds no vault_token.")
        try:
            return self._top(user, elder)
        except CredbrokerError as problem:
            raise LocalFileUnfit(
                f"It needs the vault token of {elder}. {problem.sentence}",
                f"Store {elder} anew, as a submit does; nothing was removed.",
            ) from None

    def _top(self, user: str, name: str) -> TopFile:
        content = self.folder.read(user, name + TOP)
        if content is None:
            raise LocalFileUnfit(f"{name}.top is not there.")
        return read_top(content.read)
