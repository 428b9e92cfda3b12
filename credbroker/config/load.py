"""Reads `config.d/*.yaml` in name order into one `Settings`, or names file and key.

Mappings are merged key by key, later files win; lists and single values replace. A key written
twice in one file is an error, and so is a key nobody knows: a typo must not become a default.
"""

from __future__ import annotations

import functools
import ipaddress
import operator
import os
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import yaml

from credbroker.config.community_faults import community_findings
from credbroker.config.notify import notify_findings, notify_secret_files
from credbroker.config.schema import Issuer, Settings
from credbroker.domain.errors import BadSettings, Malformed
from credbroker.domain.hosts import check_host_pattern
from credbroker.domain.marks import LEAST_GRACE_SECONDS
from credbroker.domain.names import check_short_name
from credbroker.domain.revocations import LONGEST_SECONDS
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret

T = TypeVar("T")

DEFAULT_FOLDER = Path("/etc/credbroker/config.d")

_LARGEST_SECRET_BYTES = 64 * 1024


def load(folder: Path) -> Settings:
    """Read and check all settings below `folder`; raise `BadSettings` naming file and key."""
    merged: dict[str, Any] = {}
    origins: dict[str, Path] = {}
    for file in settings_files(folder):
        _merge(merged, read_mapping(file), file, "$", origins)
    try:
        settings = _convert(merged)
    except msgspec.ValidationError as error:
        raise _in_words(_with_names(str(error), merged), origins, folder) from None
    _check(settings, origins, folder)
    return settings


def settings_files(folder: Path) -> list[Path]:
    """Return the files that settings are read from, in order; raise `BadSettings` if there are none."""
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise BadSettings(f"{folder}: there is no *.yaml file here.")
    return files


def check_private(file: Path, kind: str) -> None:
    """Refuse, with `BadSettings`, a file that is not there or that everybody may read or change."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise BadSettings(f"{file}: the {kind} cannot be read ({error.strerror}).") from None
    if mode & 0o007:
        raise BadSettings(f"{file}: everybody may read or change this {kind}; use chmod 0600.")


def read_secret(file: Path, kind: str) -> Secret:
    """Read one secret from its file, without the white space around it.

    Refuses, with `BadSettings`, a file that other people may read, an empty one and a huge one.
    """
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read(_LARGEST_SECRET_BYTES + 1)
    except OSError as error:
        raise BadSettings(f"{file}: the {kind} cannot be read ({error.strerror}).") from None
    if mode & 0o007:
        raise BadSettings(f"{file}: everybody may read or change this {kind}; use chmod 0600.")
    text = content.decode("utf-8", "replace").strip()
    if not text or len(content) > _LARGEST_SECRET_BYTES or not text.isprintable():
        raise BadSettings(f"{file}: this does not hold a {kind} on one line.")
    return Secret(kind, text)


def secret_files(settings: Settings) -> list[tuple[str, Path]]:
    """List every secret that the settings name by file: (kind, file)."""
    approle, kubernetes = settings.vault.approle, settings.vault.kubernetes
    files = []
    if approle is not None:
        files.append(("AppRole role id", approle.role_id_file))
        files.append(("AppRole secret id", approle.secret_id_file))
    if kubernetes is not None:
        files.append(("service account's token", kubernetes.token_file))
    files += [
        ("client secret", issuer.client_secret_file)
        for issuer in settings.issuers.values()
        if issuer.client_secret_file is not None
    ]
    files += [
        ("client secret", client.secret_file)
        for community in settings.communities.values()
        for client in community.clients.values()
        if client.secret_file is not None
    ]
    return [*files, *notify_secret_files(settings.notify)]


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a text", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is written twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(file: Path, loader: type[yaml.SafeLoader] = _StrictLoader) -> dict[str, Any]:
    """Return the mapping in a YAML file, empty if it holds nothing; raise `BadSettings`."""
    try:
        read = yaml.load(file.read_text("utf-8"), loader)  # noqa: S506 - it is a SafeLoader
    except OSError as error:
        raise BadSettings(f"{file}: cannot be read ({error.strerror}).") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise BadSettings(f"{file}: line {line}: {error.problem}.") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise BadSettings(f"{file}: this is not YAML.") from None
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise BadSettings(f"{file}: the settings must be a mapping.")
    return read


def _merge(
    into: dict[str, Any], new: dict[str, Any], file: Path, at: str, origins: dict[str, Path]
) -> None:
    for key, value in new.items():
        if not isinstance(key, str):
            raise BadSettings(f"{file}: the key {key!r} in {at} must be a text.")
        here = f"{at}.{key}"
        origins[here] = file
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, file, here, origins)
        elif isinstance(value, dict):
            into[key] = {}
            _merge(into[key], value, file, here, origins)
        else:
            into[key] = value


def _to_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("Expected a file path")


def read_part(kind: type[T], fields: object, file: Path, key: str) -> T:
    """Return what a file says below one of its keys; raise `BadSettings` naming file and key."""
    try:
        return msgspec.convert(fields, kind, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at ")
        problem = f"{text} - at `$.{key}{at.strip('`').removeprefix('$')}`"
        raise _in_words(problem, {}, file) from None


def _convert(merged: dict[str, Any]) -> Settings:
    return msgspec.convert(merged, Settings, dec_hook=_to_path)


def _with_names(problem: str, merged: dict[str, Any]) -> str:
    """Put the name of an entry where msgspec writes `[...]`; uses `merged` up on the way."""
    text, at, place = problem.partition(" - at ")
    first, *others = place.strip("`").split("[...]")
    keys = first.split(".")[1:]
    for step in others:
        keys.append(_culprit(problem, merged, keys))
        keys += step.split(".")[1:]
    return f"{text}{at}{'.'.join(['$', *keys])}" if others else problem


def _culprit(problem: str, merged: dict[str, Any], keys: list[str]) -> str:
    """Return the entry, of the mapping below `keys`, that has this problem also when alone."""
    mapping: dict[str, Any] = functools.reduce(operator.getitem, keys, merged)
    for name, entry in list(mapping.items()):
        mapping.clear()
        mapping[name] = entry
        try:
            _convert(merged)
        except msgspec.ValidationError as error:
            if str(error) == problem:
                return name
    return "?"


def _in_words(problem: str, origins: dict[str, Path], folder: Path) -> BadSettings:
    """Turn msgspec's sentence into one that names the file and the dotted key."""
    text, _, at = problem.partition(" - at ")
    at = at.strip("`") or "$"
    if "unknown field" in text:
        at = f"{at}.{text.rsplit('`', 2)[-2]}"
        text = "this key is not known"
    elif "missing required field" in text:
        at = f"{at}.{text.rsplit('`', 2)[-2]}"
        text = "this key is missing"
    return _wrong(at, text, origins, folder)


def _wrong(at: str, text: str, origins: dict[str, Path], folder: Path) -> BadSettings:
    place = at.split("[", maxsplit=1)[0]
    while place and place not in origins:
        place = place.rpartition(".")[0]
    key = at.removeprefix("$.") or "(all)"
    return BadSettings(f"{origins.get(place, folder)}: {key}: {text}.")


def _check(settings: Settings, origins: dict[str, Path], folder: Path) -> None:
    """Check what a type cannot say; the first finding is raised."""
    for at, text in _findings(settings):
        raise _wrong(at, text, origins, folder)


def _findings(settings: Settings) -> list[tuple[str, str]]:
    found = [("$.public_url", why) for why in _address_faults(settings.public_url)]
    for number, address in enumerate(settings.vault.addresses):
        found += [(f"$.vault.addresses[{number}]", why) for why in _address_faults(address)]
    if (settings.vault.approle is None) == (settings.vault.kubernetes is None):
        found.append(("$.vault", "name one way to log in, `approle` or `kubernetes`"))
    if settings.listen.tls is None and not all(map(is_loopback, settings.listen.addresses)):
        found.append(("$.listen.tls", "this is needed unless the address is a loopback one"))
    if settings.keeper.warn_seconds >= settings.keeper.dormant_seconds:
        found.append(("$.keeper.warn_seconds", "this must be less than dormant_seconds"))
    leases = settings.leases
    if settings.keeper.dormant_seconds <= max(leases.login_seconds, leases.job_seconds):
        found.append(("$.keeper.dormant_seconds", "this must be more than any lease lasts"))
    if max(leases.login_seconds, leases.job_seconds) > LONGEST_SECONDS:
        found.append(("$.leases", "no lease may last longer than a year"))
    if not settings.issuers and not settings.communities:
        found.append(("$.issuers", "name an issuer that people log in at, or one of `communities`"))
    for name, issuer in settings.issuers.items():
        at = f"$.issuers.{name}"
        found += [(at, why) for why in _name_faults("issuer", name)]
        found += [(f"{at}{key}", why) for key, why in _issuer_findings(issuer)]
    found += [
        (f"$.operators[{number}].issuer", "no issuer of this name is set up")
        for number, one in enumerate(settings.operators)
        if one.issuer not in settings.issuers
    ]
    for name, community in settings.communities.items():
        found += [(f"$.communities.{name}.url", why) for why in _address_faults(community.url)]
    found += community_findings(settings)
    found += notify_findings(settings.notify, _address_faults, is_loopback)
    found += _kerberos_findings(settings) + _network_findings(settings)
    return found + _hosts_findings(settings)


def _network_findings(settings: Settings) -> list[tuple[str, str]]:
    found = []
    lists = {
        "htvault.shared_hosts": settings.htvault.shared_hosts,
        "listen.proxied_by": settings.listen.proxied_by,
    }
    for at, number, text in ((at, *one) for at, texts in lists.items() for one in enumerate(texts)):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            found.append((f"$.{at}[{number}]", "this is neither an address nor a network"))
    return found


def _hosts_findings(settings: Settings) -> list[tuple[str, str]]:
    hosts = settings.hosts
    lists = {"names": hosts.names, **{f"groups.{name}": one for name, one in hosts.groups.items()}}
    found = [(f"$.hosts.groups.{name}", why) for name in hosts.groups
             for why in _name_faults("group", name)]  # fmt: skip
    for at, patterns in lists.items():
        found += [(f"$.hosts.{at}[{number}]", why) for number, one in enumerate(patterns)
                  for why in _pattern_faults(one)]  # fmt: skip
    if hosts.names and hosts.ca_file is None:
        found.append(("$.hosts.names", "this goes with `ca_file` only"))
    if hosts.ca_file is not None and settings.listen.tls is None:
        found.append(("$.hosts.ca_file", "certificates are shown over `listen.tls` only"))
    return found


def _pattern_faults(pattern: str) -> list[str]:
    try:
        check_host_pattern(pattern)
    except Malformed as error:
        return [error.sentence.rstrip(".")]
    return []


def _kerberos_findings(settings: Settings) -> list[tuple[str, str]]:
    found = []
    for number, entry in enumerate(settings.kerberos):
        at = f"$.kerberos[{number}]"
        found += [
            (f"{at}.issuers[{place}]", "no issuer of this name is set up")
            for place, name in enumerate(entry.issuers)
            if name not in settings.issuers
        ]
        if "/" in entry.domain or not entry.domain.isprintable():
            # With a slash one person's name would lead to what lies below another's.
            found.append((f"{at}.domain", "this must be printable, without a slash"))
    return found


def _issuer_findings(issuer: Issuer) -> list[tuple[str, str]]:
    found = [(".url", why) for why in _address_faults(issuer.url)]
    if issuer.unclear_answer == "grace" and issuer.grace_seconds is None:
        found.append((".grace_seconds", "with `unclear_answer: grace`, say how long it lasts"))
    if issuer.grace_seconds is not None and issuer.grace_seconds < LEAST_GRACE_SECONDS:
        least = f"{LEAST_GRACE_SECONDS:.0f}"
        found.append((".grace_seconds", f"less than {least} s is too short for a retry"))
    if issuer.unclear_answer != "grace" and issuer.grace_seconds is not None:
        found.append((".grace_seconds", "this goes with `unclear_answer: grace` only"))
    if issuer.legacy is not None:
        found += [(".legacy.url", why) for why in _address_faults(issuer.legacy.url)]
    for name, role in issuer.roles.items():
        at = f".roles.{name}"
        found += [(at, why) for why in _name_faults("role", name)]
        found += [(f"{at}.scopes", why) for why in _scope_faults(role.scopes)]
        if issuer.audience_parameter == "resource" and not role.audiences:
            # A resource that the issuer does not know may cost the login (RFC 8707).
            found.append((f"{at}.audiences", "with `resource`, name the allowed ones"))
    return found


def _address_faults(address: str) -> list[str]:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return ["this is not a web address"]
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment:
        return ["this must be a web address without query, such as https://host:8200"]
    if parts.username is not None:
        return ["an address must not hold a user name or password"]
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return ["only https is allowed, except on a loopback address"]
    return []


def is_loopback(host: str) -> bool:
    """True for `localhost` and for literal loopback addresses."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name_faults(kind: str, name: str) -> list[str]:
    try:
        check_short_name(kind, name)
    except Malformed as error:
        return [error.sentence.rstrip(".")]
    return []


def _scope_faults(scopes: list[str]) -> list[str]:
    try:
        parsed = ScopeSet.of(scopes)
    except Malformed as error:
        return [error.sentence.rstrip(".")]
    texts = parsed.texts()
    missing = [name for name in ("openid", "offline_access") if name not in texts]
    return [f"a role needs the scope {name}" for name in missing]
