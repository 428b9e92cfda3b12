"""What of an HTVault's settings becomes ours, and what cannot, which is said.

Issuers with their roles, Kerberos services and the word about ssh keys. The same settings give the
same result. A client secret becomes a file of its own; no note holds one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from credbroker.admin.htvault_config import named_items
from credbroker.domain.errors import Malformed
from credbroker.domain.names import check_short_name
from credbroker.domain.scopes import parse_item

_KNOWN = {"issuers", "kerberos", "ssh", "ratelimits", "cluster"}
_OF_ISSUER = {
    "name", "clientid", "secret", "url", "callbackmode", "credclaim", "kerbservice", "roles"
}  # fmt: skip
_OF_KERBEROS = {"name", "ldapurl", "ldapdn", "ldapattr", "policydomain"}
_NEEDED = ("openid", "offline_access")


@dataclass
class Carried:
    """Our settings, the client secrets by the file that is to hold each, and what is to be said."""

    settings: dict[str, Any] = field(default_factory=dict)
    secrets: dict[Path, bytes] = field(default_factory=dict, repr=False)
    notes: list[str] = field(default_factory=list)


def carry(tree: Mapping[str, Any], secrets: Path) -> Carried:
    """Carry over the settings in `tree`; files with client secrets are to lie in `secrets`.

    Raises `BadSettings` for a list whose items have no names.
    """
    carried = Carried()
    issuers = dict(named_items(tree, "issuers"))
    for name, issuer in issuers.items():
        _carry_issuer(carried, name, issuer, secrets)
    _carry_kerberos(carried, dict(named_items(tree, "kerberos")), issuers)
    _carry_ssh(carried, tree.get("ssh"))
    carried.notes += _left_behind(tree)
    return carried


def _carry_issuer(carried: Carried, name: str, issuer: Mapping[str, Any], secrets: Path) -> None:
    at = f"issuer {name}"
    lacking = [key for key in ("clientid", "url", "roles") if not issuer.get(key)]
    if lacking or not _is_name(name):
        why = f"it has no {lacking[0]}" if lacking else "its name does not fit here"
        carried.notes.append(f"{at}: not carried: {why}.")
        return
    ours: dict[str, Any] = {"url": str(issuer["url"]), "client_id": str(issuer["clientid"])}
    if issuer.get("secret"):
        file = secrets / f"{name}-client"
        ours["client_secret_file"] = str(file)
        carried.secrets[file] = f"{issuer['secret']}\n".encode()
    if issuer.get("credclaim"):
        ours["credkey_claim"] = str(issuer["credclaim"])
    ours["confirm"] = "device" if issuer.get("callbackmode", "device") == "device" else "page"
    carried.notes += _about_confirming(at, issuer)
    ours["roles"] = dict(_roles(carried, at, issuer))
    carried.settings.setdefault("issuers", {})[name] = ours
    carried.notes += _unknown(at, issuer, _OF_ISSUER)


def _about_confirming(at: str, issuer: Mapping[str, Any]) -> Iterator[str]:
    mode = issuer.get("callbackmode", "device")
    if mode == "device":
        yield (
            f"{at}: logins end on the issuer's own page, to which a stranger can send a person;"
            " where the redirect address can be registered, use confirm: page."
        )
    elif mode == "noconfirm":
        yield f"{at}: callbackmode noconfirm: people now confirm on this broker's page."


def _roles(
    carried: Carried, at: str, issuer: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the roles; `default` first, since the first one is the default here."""
    for name, role in sorted(named_items(issuer, "roles"), key=lambda one: one[0] != "default"):
        where = f"{at}, role {name}"
        if not _is_name(name):
            carried.notes.append(f"{where}: not carried: its name does not fit here.")
            continue
        scopes = list(dict.fromkeys(_scopes(carried, where, role.get("scopes") or [])))
        added = [scope for scope in _NEEDED if scope not in scopes]
        if "offline_access" in added:
            carried.notes.append(f"{where}: the scope offline_access is asked for, too.")
        carried.notes += _unknown(where, role, {"name", "scopes"})
        yield name, {"scopes": added + scopes}


def _scopes(carried: Carried, where: str, listed: Any) -> Iterator[str]:
    for item in listed if isinstance(listed, list) else str(listed).split(","):
        scope = _scope(item)
        try:
            parse_item(scope)
        except Malformed as error:
            carried.notes.append(f"{where}: scope {scope} not carried: {error.sentence}")
        else:
            yield scope


def _scope(item: Any) -> str:
    """Return the scope; YAML takes one that ends in a colon, unquoted, for a mapping to nothing."""
    if isinstance(item, dict) and len(item) == 1 and None in item.values():
        return f"{next(iter(item))}:"
    return str(item).strip()


def _carry_kerberos(
    carried: Carried,
    services: Mapping[str, Mapping[str, Any]],
    issuers: Mapping[str, Mapping[str, Any]],
) -> None:
    served = {name: _service_of(name, issuer, services) for name, issuer in issuers.items()}
    for name, service in services.items():
        at = f"kerberos {name}"
        for_issuers = [one for one in carried.settings.get("issuers", {}) if served[one] == name]
        domain = str(service.get("policydomain") or "")
        if not domain or not for_issuers:
            why = "no issuer uses it" if domain else "nothing says which realm's people may log in"
            carried.notes.append(f"{at}: not carried: {why}.")
            continue
        realm = domain.lstrip("@").upper()
        entry = {
            "keytab_file": f"/etc/krb5-{name}.keytab",
            "realms": [realm],
            "issuers": for_issuers,
            "domain": f"@{domain.lstrip('@')}",
        }
        carried.settings.setdefault("kerberos", []).append(entry)
        carried.notes.append(
            f"{at}: the realm {realm} is a guess from policydomain; nobody is looked up in LDAP;"
            " HTVault may have read /etc/krb5.keytab instead."
        )
        carried.notes += _unknown(at, service, _OF_KERBEROS)
    for issuer, wanted in served.items():
        if wanted and wanted not in services:
            carried.notes.append(f"issuer {issuer}: there is no kerberos service {wanted}.")


def _service_of(
    issuer: str, settings: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return the Kerberos service of an issuer: the one it names, its namesake, or the first."""
    if settings.get("kerbservice"):
        return str(settings["kerbservice"])
    return issuer if issuer in services else next(iter(services), "")


def _carry_ssh(carried: Carried, ssh: Any) -> None:
    if not isinstance(ssh, dict):
        return
    carried.settings["ssh"] = {"registration": ssh.get("self-registration") == "allowed"}
    carried.notes.append("ssh: the keys themselves are not carried: people register them again.")
    carried.notes += _unknown("ssh", ssh, {"self-registration"})


def _left_behind(tree: Mapping[str, Any]) -> Iterator[str]:
    for name, _ in named_items(tree, "ratelimits"):
        yield f"ratelimits {name}: not carried: see the limits in the settings here."
    cluster = tree.get("cluster")
    if isinstance(cluster, dict):
        known = cluster.get("name") or cluster.get("myname")
        yield "cluster: not carried: replicas need no list of each other." + (
            f" People know the service as {known}: let public_url say that." if known else ""
        )
    yield from _unknown("top level", tree, _KNOWN)


def _unknown(at: str, section: Mapping[str, Any], known: set[str]) -> list[str]:
    return [
        f"{at}: {key}: not carried: nothing is known of it." for key in section if key not in known
    ]


def _is_name(name: str) -> bool:
    try:
        check_short_name("HTVault", name)
    except Malformed:
        return False
    return True
