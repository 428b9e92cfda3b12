"""Bytes to each parser behind the façade's paths, by name: it reads them or says in words why not.

An input is the reader's name on the first line, and behind it what is read.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from credbroker.admin.htvault_carried import carry
from credbroker.admin.htvault_config import read_folder
from credbroker.domain.errors import BadSettings, CredbrokerError, LoginDenied, Malformed
from credbroker.domain.names import GrantKey, check_credkey, check_short_name
from credbroker.domain.principals import Principal, PrincipalRules
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.ssh_keys import SshKey, choose
from credbroker.host.kerberos import GssAcceptor
from credbroker.issuers.ssh_signatures import AgentSignatures
from credbroker.stores.login_seal import AesLoginSeal
from credbroker.wire import confirmed, htvault, marks, narrow, records, revocations, ssh_keys
from credbroker.wire.fields import parse_object
from tests.fuzz.watch import Finding

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Reader = Callable[[bytes], object]

_SEAL = AesLoginSeal(Secret("login key", "K" * 42 + "A"))
_CLIENT_SECRET = "canary-of-a-client-secret"
_LONGEST_SENTENCE = 1000


class Readers:
    """All of them; each text is for one."""

    def __enter__(self) -> Readers:
        """Make the files that two of them read."""
        self._closing = contextlib.ExitStack()
        self._folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory()))
        self._by_name: dict[str, Reader] = {
            "object": _object,
            "duration": _duration,
            "query": _query,
            "names": _names,
            "principal": _principal,
            "proof": _proof,
            "keys": lambda text: choose(ssh_keys.read_public_keys(text)),
            "sealed": lambda text: _SEAL.open("login", _text(text)),
            "asked": _asked,
            "htvault-config": self._config,
            **{f"record {name}": _record(*ways) for name, ways in _RECORDS.items()},
        }
        with contextlib.suppress(BadSettings):  # the extra `kerberos` is not installed
            self._by_name["ticket"] = self._tickets()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        """Take the files away."""
        self._closing.__exit__(kind, why, at)

    def __call__(self, text: bytes) -> None:
        """Read; raise `Finding`, or whatever the reader did not mean to raise."""
        name, _, content = text.partition(b"\n")
        reader = self._by_name.get(_text(name).strip())
        if reader is None:
            return
        try:
            reader(content)
        except CredbrokerError as error:
            said = f"{error.sentence} {error.remedy}"
            if len(said) > _LONGEST_SENTENCE or _CLIENT_SECRET in said:
                raise Finding(f"a sentence with all that was sent: {said!r}") from error

    def _config(self, content: bytes) -> None:
        """Carry an HTVault's settings over: the same each time, secrets in files beside them."""
        (self._folder / "one.yaml").write_bytes(content)
        secrets = self._folder / "secrets"
        first, again = (carry(read_folder(self._folder), secrets) for _ in range(2))
        if yaml.safe_dump(first.settings) != yaml.safe_dump(again.settings):
            raise Finding("the same settings are carried over in two ways")
        shown = " ".join([*first.notes, yaml.safe_dump(first.settings)])
        if any(file.resolve().parent != secrets.resolve() for file in first.secrets):
            raise Finding(f"a secret would go elsewhere: {list(first.secrets)}")
        if any(_CLIENT_SECRET.encode() in one for one in first.secrets.values()) and (
            _CLIENT_SECRET in shown
        ):
            raise Finding(f"a client secret is shown: {shown}")

    def _tickets(self) -> Reader:
        """Return what takes GSS tokens as they come, by a keytab of a service nobody has."""
        keytab = self._folder / "keytab"
        keytab.write_bytes(_keytab("TEST.LOCAL", "host", "broker.test"))
        acceptor = GssAcceptor(keytab, self._folder / "replays")
        self._closing.callback(acceptor.close)

        def ticket(content: bytes) -> None:
            with contextlib.suppress(LoginDenied):
                shown = acceptor._accept(content)
                raise Finding(f"a ticket out of nothing opens {shown}")

        return ticket


def _object(content: bytes) -> None:
    """Read each field in each way."""
    fields = parse_object(content, "The request")
    for name in list(json.loads(content)):
        for way in (
            fields.text, fields.number, fields.flag, fields.texts, fields.instant, fields.object,
            fields.objects,
        ):  # fmt: skip
            with contextlib.suppress(Malformed):
                way(name)


def _duration(content: bytes) -> None:
    found = htvault.read_duration(parse_object(content, "The request"), "ttl")
    if found is not None and not 0 < found < float("inf"):
        raise Finding(f"a duration of {found}")


def _query(content: bytes) -> None:
    """Read what `minimum_seconds`, `scopes` and `audiences` say."""
    seconds, _, listed = _text(content).partition("&")
    ScopeSet.of(htvault.split_list(listed))
    if htvault.read_seconds(seconds, "minimum_seconds") < 0:
        raise Finding("seconds below zero")


def _names(content: bytes) -> None:
    """Nothing that is typed reaches a path in Vault, and no two grants have one place."""
    issuer, _, rest = _text(content).partition("/")
    credkey, _, role = rest.rpartition(":")
    check_short_name("issuer", issuer)
    check_short_name("role", role)
    key = GrantKey(issuer, check_credkey(credkey), role)
    others = [
        GrantKey(issuer, f"{credkey}:{role}", role),
        GrantKey(issuer + credkey[:1], credkey[1:], role),
        GrantKey(issuer, credkey + role[:1], role[1:]),
        GrantKey(issuer, credkey.casefold().swapcase(), role),
    ]
    for other in others:
        if other != key and other.segment() == key.segment():
            raise Finding(f"{key} and {other} have one place")
    if len(key.segment()) != 43 or not key.segment().replace("-", "").replace("_", "").isalnum():
        raise Finding(f"an odd path: {key.segment()}")


def _principal(content: bytes) -> None:
    rules = PrincipalRules(("TEST.LOCAL",), "@test.local")
    principal = Principal.parse(_text(content))
    credkey = rules.credkey(principal)
    if (
        credkey != f"{principal.user}@test.local{principal.below}"
        or principal.realm != "TEST.LOCAL"
    ):
        raise Finding(f"{principal} is taken for {credkey}")


def _proof(content: bytes) -> None:
    """Read a login by ssh key, and look at its signature: none is good for what nobody signed."""
    proof = ssh_keys.read_ssh_proof(content)
    if AgentSignatures().verify(proof.key, proof.signature, b"what nobody has ever signed"):
        raise Finding("a signature that nobody made")
    if SshKey.parse(proof.key.line()) != proof.key:
        raise Finding("a key is read in two ways")


def _asked(content: bytes) -> None:
    read = confirmed.read_asked(content)
    if confirmed.read_asked(confirmed.write_asked(read)) != read:
        raise Finding(f"not read as it was written: {read!r}")


_RECORDS: dict[str, tuple[Callable[[object], Any], Callable[[Any], object]]] = {
    "grant": (records.read_grant, records.write_grant),
    "lease": (records.read_lease, records.write_lease),
    "login": (records.read_login, records.write_login),
    "confirmed": (confirmed.read_confirmed, confirmed.write_confirmed),
    "narrow": (narrow.read_narrow, narrow.write_narrow),
    "revocations": (revocations.read_revocations, revocations.write_revocations),
    "ssh keys": (ssh_keys.read_ssh_keys, ssh_keys.write_ssh_keys),
    "seen nonce": (ssh_keys.read_seen_nonce, ssh_keys.write_seen_nonce),
    "issuer mark": (marks.read_issuer_mark, marks.write_issuer_mark),
    "heartbeat": (marks.read_heartbeat, marks.write_heartbeat),
    "rewind": (marks.read_rewind, marks.write_rewind),
}


def _record(read: Callable[[object], Any], write: Callable[[Any], object]) -> Reader:
    """Return what reads a record, and reads it again as it is written."""

    def both(content: bytes) -> None:
        try:
            record = json.loads(content)
        except (ValueError, RecursionError):
            return  # whatever comes from Vault is JSON
        found = read(record)
        if read(json.loads(json.dumps(write(found)))) != found:
            raise Finding(f"not read as it was written: {found!r}")

    return both


def _keytab(realm: str, *service: str) -> bytes:
    """Write a keytab with one AES key of zeros (its form: version 2, big-endian, counted texts)."""

    def counted(text: bytes) -> bytes:
        return len(text).to_bytes(2, "big") + text

    name = b"".join(counted(part.encode()) for part in (realm, *service))
    key = (1).to_bytes(1, "big") + (18).to_bytes(2, "big") + counted(bytes(32))
    entry = len(service).to_bytes(2, "big") + name + (1).to_bytes(4, "big") + bytes(4) + key
    return b"\x05\x02" + len(entry).to_bytes(4, "big") + entry


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
