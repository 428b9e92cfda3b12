"""`credbroker config example`: every setting with its default and its meaning, made from the code.

What must be set stands there with a value to be replaced. All else is commented out by one `#`, with its
default where it has one; lines that begin with `##` are prose. Without its `#`s it is still settings that
`config check` accepts, but that one way to log in to OpenBao/Vault must be chosen.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from credbroker.config.meanings import MEANINGS
from credbroker.config.schema import Settings
from credbroker.config.section import Section

HEAD = """\
## The settings of credbroker: all of them, as `credbroker config example` writes them. Save what you need
## below /etc/credbroker/config.d as NAME.yaml, and ask `credbroker config check`.
## Take away the # before a setting, and before the section it is in, to change it; the value shown is the
## default, or an example where there is none. Durations are in seconds.
"""

_SECRETS = "/etc/credbroker/secrets"
# What stands where nothing can be assumed, and the names of entries.
EXAMPLES: dict[str, object] = {
    "public_url": "https://broker.example.org:8200",
    "listen.tls.certificate_file": "/etc/credbroker/tls.crt",
    "listen.tls.key_file": f"{_SECRETS}/tls-key",
    "vault.addresses": ["https://vault1.example.org:8200", "https://vault2.example.org:8200"],
    "vault.approle.role_id_file": f"{_SECRETS}/role-id",
    "vault.approle.secret_id_file": f"{_SECRETS}/secret-id",
    "vault.kubernetes.role": "credbroker",
    "vault.kubernetes.token_file": "/var/run/secrets/credbroker/token",
    "audit.folder": "/var/log/credbroker",
    "issuers": "wlcg",
    "issuers.<name>.url": "https://issuer.example.org/",
    "issuers.<name>.client_id": "credbroker",
    "issuers.<name>.roles": "default",
    "issuers.<name>.roles.<name>.scopes": ["openid", "offline_access", "storage.read:/"],
    "issuers.<name>.legacy.url": "https://htvault.example.org:8200",
    "issuers.<name>.legacy.until": "2030-12-31",
    "kerberos.keytab_file": f"{_SECRETS}/keytab",
    "kerberos.realms": ["EXAMPLE.ORG"],
    "operators.issuer": "wlcg",
    "operators.subject": "the sub of an operator",
    "hosts.groups": "login",
    "hosts.groups.<name>": ["login*.example.org"],
    "communities": "dteam",
    "communities.<name>.url": "https://broker.example.org:8200/dteam/",
    "communities.<name>.clients": "rucio",
    "communities.<name>.clients.<name>.scopes": ["storage.read:/", "storage.modify:/"],
    "communities.<name>.clients.<name>.audiences": ["https://*.example.org"],
    "communities.<name>.clients.<name>.secret_file": f"{_SECRETS}/rucio",
    "communities.<name>.audiences": "https://se.example.org",
    "communities.<name>.lifetimes": "modify",
    "communities.<name>.lifetimes.<name>": 3600.0,
    "communities.<name>.bridge.upstream": "wlcg",
    "communities.<name>.bridge.audiences": ["https://se.example.org"],
    "notify.mail.server": "mail.example.org",
    "notify.mail.sender": "credbroker@example.org",
    "notify.webhook.url": "https://alerts.example.org/credbroker",
    "notify.webhook.secret_file": f"{_SECRETS}/webhook",
}
# What is set in the example though it need not be: an issuer, and how to log in to OpenBao/Vault.
_SET = frozenset({"issuers", "vault.approle"})


def text() -> str:
    """Return the example, with a newline at its end."""
    return "\n".join([HEAD, *_section(Settings, "", 0, is_set=True), ""])


def _section(section: type[Section], at: str, depth: int, *, is_set: bool) -> Iterator[str]:
    for field in msgspec.structs.fields(section):
        key = f"{at}{field.encode_name}"
        required = field.default is field.default_factory is msgspec.NODEFAULT
        here = is_set and (required or key in _SET)
        inner = section_in(field.type)
        if inner is not None:
            yield ""
            yield from _prose(_summary(inner), depth)
            yield _line(f"{field.encode_name}:", depth, is_set=here)
            yield from _inside(field, inner, key, depth + 1, is_set=here)
        elif "dict" in str(field.type):
            yield from _prose(MEANINGS[f"{key}.<name>"], depth)
            yield _line(f"{field.encode_name}:", depth, is_set=here)
            value = f"{EXAMPLES[key]}: {_yaml(EXAMPLES[f'{key}.<name>'])}"
            yield _line(value, depth + 1, is_set=here)
        else:
            yield from _prose(MEANINGS[key], depth)
            yield _line(f"{field.encode_name}: {_yaml(_value(field, key))}", depth, is_set=here)


def _inside(
    field: msgspec.structs.FieldInfo, inner: type[Section], key: str, depth: int, *, is_set: bool
) -> Iterator[str]:
    if "dict" in str(field.type):
        yield _line(f"{_yaml(EXAMPLES[key])}:", depth, is_set=is_set)
        yield from _section(inner, f"{key}.<name>.", depth + 1, is_set=is_set)
    elif "list" in str(field.type):
        lines = list(_section(inner, f"{key}.", depth + 1, is_set=is_set))
        first = next(at for at, line in enumerate(lines) if not line.startswith("##"))
        yield from [*lines[:first], _with_dash(lines[first]), *lines[first + 1 :]]
    else:
        yield from _section(inner, f"{key}.", depth, is_set=is_set)


def section_in(kind: Any) -> type[Section] | None:
    """Return the section that a field holds, one of it or many; None for plain values."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind
    arguments = getattr(kind, "__args__", ())
    return next((found for one in arguments if (found := section_in(one)) is not None), None)


def _value(field: msgspec.structs.FieldInfo, key: str) -> object:
    if key in EXAMPLES:
        return EXAMPLES[key]
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _yaml(value: object) -> str:
    """Return a value as JSON writes it, which is YAML, too; a plain word needs no quotes."""
    if isinstance(value, str) and value.replace("_", "").replace("-", "").isalpha():
        return value
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False)


def _line(line: str, depth: int, *, is_set: bool) -> str:
    return f"{'' if is_set else '#'}{'  ' * depth}{line}"


def _with_dash(line: str) -> str:
    at = len(line) - len(line.lstrip("# "))
    return f"{line[: at - 2]}- {line[at:]}"


def _prose(words: str, depth: int) -> Iterator[str]:
    begin = f"## {'  ' * depth}"
    yield from textwrap.wrap(words, 104, initial_indent=begin, subsequent_indent=begin)


def _summary(section: type[Section]) -> str:
    return " ".join((section.__doc__ or "").split("\n\n", maxsplit=1)[0].split())
