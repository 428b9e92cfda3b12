"""Writes the reference pages that are made from the code: `python -m docs.generate`.

What they state is looked up where the program itself looks it up. `make docs` writes them anew, and a
house test says when one of them is not what the code says now.
"""

from __future__ import annotations

import asyncio
import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import msgspec

from credbroker.api import batch, containment, deliveries, files, inspecting, native, notices
from credbroker.api.issuer_openapi import issuer_document
from credbroker.api.openapi import document
from credbroker.api.problems import status_of
from credbroker.cli import exits
from credbroker.config.meanings import MEANINGS
from credbroker.config.schema import Settings
from credbroker.domain.errors import CredbrokerError, leaves
from credbroker.domain.retry import is_final
from tests.unit.api.scraped import Scraped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from credbroker.api.operations import Operation

FOLDER = Path(__file__).parent / "reference"
MADE = "Made from the code by `python -m docs.generate`; what is wrong here is mended there."

# All that speak the native API; a test compares them with what a broker serves.
APIS = (
    native.NativeApi, batch.BatchApi, containment.ContainmentApi, deliveries.DeliveriesApi,
    files.FilesApi, notices.NoticesApi, inspecting.InspectApi,
)  # fmt: skip

# Errors that only commands and `serve` itself meet; the API never answers with them.
NEVER_ANSWERED = {"broker_unreachable", "bad_settings", "local_file_unfit"}
FAMILIES = [family.__name__ for family in CredbrokerError.__subclasses__()]

# Where words in the meanings of settings lead to.
LINKS = {
    "community's own issuer": "../issuing.md",
    "table of lifetimes": "../issuing.md#lifetimes",
    "log in by ticket": "../operations.md#logins-by-kerberos-ticket",
    "contain over the network": "../operations.md#containment-over-the-network",
    "hosts may show": "../operations.md#hosts-that-tokens-are-delivered-to",
    "told in time": "../operations.md#notices",
}


def settings() -> str:
    """Return the page of settings: each key of the schema with its default and its meaning."""
    text = page(
        "Settings",
        "What may stand in the `*.yaml` files of a broker's settings folder; [operations](../operations.md#settings)"
        " says how they are read. Durations are in seconds. `<name>` stands for a name of the operator's choice.",
    )
    keys = list(settings_of(Settings))
    for section, rows in groupby(keys, lambda row: row[0].partition(".")[0]):
        cells = [[f"`{key}`", _shown(default), linked(MEANINGS[key])] for key, default in rows]
        text += f"\n## {section}\n\n" + table(["Key", "Default", "Meaning"], cells)
    return text


def settings_of(section: type[msgspec.Struct], at: str = "") -> Iterator[tuple[str, str]]:
    """Walk the settings tree: each key with dots, and its default in words."""
    for field in msgspec.structs.fields(section):
        inner = _struct_in(field.type)
        is_mapping = "dict" in str(field.type)
        key = f"{at}{field.encode_name}" + (".<name>" if is_mapping else "")
        if inner is not None:
            yield from settings_of(inner, f"{key}.")
        else:
            yield key, _default(field)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    arguments = getattr(kind, "__args__", ())
    return next((found for one in arguments if (found := _struct_in(one)) is not None), None)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return "[]"
    if field.default is msgspec.NODEFAULT:
        return "required"
    return "none" if field.default is None else str(field.default)


def _shown(default: str) -> str:
    return default if default in {"", "required", "none"} else f"`{default}`"


def linked(meaning: str) -> str:
    """Return a setting's meaning with links to the pages that have more."""
    for words, target in LINKS.items():
        meaning = meaning.replace(words, f"[{words}]({target})")
    return meaning


def metrics() -> str:
    """Return the page of numbers: what a scrape of a broker that has done something answers."""
    rows = sorted(asyncio.run(_scraped()))
    return page(
        "Metrics",
        "What `/metrics` serves, in Prometheus's text format; [operations](../operations.md#metrics) says how"
        " replicas and workers add up, and which [alerts](../operations.md#alerts) are made of these.",
    ) + "\n" + table(["Metric", "Labels", "Meaning"], rows)  # fmt: skip


async def _scraped() -> list[list[str]]:
    scraped = Scraped()
    await scraped.give_token()
    rows = []
    for family in scraped.registry.collect():
        if family.name.startswith("credbroker_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            of = sorted(family.samples[0].labels.keys() - {"le"}) if family.samples else ["issuer"]
            rows.append([f"`{name}`", ", ".join(f"`{one}`" for one in of), family.documentation])
    return rows


def errors() -> str:
    """Return the page of errors: whose turn it is, and what programs make of them."""
    rows = [error_row(kind) for kind in leaves_by_family()]
    heads = ["Word", "Means", "Family", "Status", "Exit code", "Agent"]
    return page("Errors", ERRORS) + "\n" + table(heads, rows)


ERRORS = """\
Every error has a word for programs (`error` in an answer), one sentence, what to do about it, and the request id.
The [family](../glossary.md#errors-by-who-must-act) says who must act. The status is that of the HTTP answer; a dash
means that only commands meet it. The [exit code](exit-codes.md) is that of commands.

The last column says what an agent does: it *goes on*, which means that the token file stays and it tries again, or
it *ends* if it holds no token yet, because what it asks for or by is wrong. Once it was given a token, a refusal does
not end it before the lease's own time is over: what worked may work again. Only `lease_ended` ends it always. In all
cases a file that is there stays. An agent that cannot write its file at the very start ends as well.

A wrong method and a body that is too large are `malformed` with their own statuses, 405 and 413; a body that takes
too long to arrive is `busy` with status 408."""


def leaves_by_family() -> list[type[CredbrokerError]]:
    """Return all kinds of errors, family by family, as the code lists them."""
    return sorted(dict.fromkeys(leaves()), key=lambda kind: FAMILIES.index(family_of(kind)))


def family_of(kind: type[CredbrokerError]) -> str:
    """Return the name of the family that a kind of error belongs to."""
    return kind.__mro__[kind.__mro__.index(CredbrokerError) - 1].__name__


def error_row(kind: type[CredbrokerError]) -> list[str]:
    """Return what the tables of the program say of this kind."""
    error = kind("A sentence.")
    status = "-" if kind.code in NEVER_ANSWERED else str(status_of(error))
    agent = "ends" if is_final(error) else "goes on"
    means = (kind.__doc__ or "").partition("\n\n")[0].replace("\n    ", " ")
    return [f"`{kind.code}`", means, family_of(kind), status, str(exits.exit_code(error)), agent]


def exit_codes() -> str:
    """Return the page of exit codes: what each means, and which errors end so."""
    said = re.findall(r"(\d+) ([^·]+)", (exits.__doc__ or "").partition("\n\n")[2])
    rows = [[code, " ".join(means.split()), _ending_so(int(code))] for code, means in said]
    return page(
        "Exit codes",
        "What commands end with; scripts may rely on these. The stand-ins that `credbroker shims` writes have"
        " [htgettoken's own](../shims.md). `credbroker status` gives the code of the worst of its rows, by who"
        " must act first: 4, 5, 6, 3, 2.",
    ) + "\n" + table(["Code", "Means", "[Errors](errors.md)"], rows)  # fmt: skip


def _ending_so(code: int) -> str:
    kinds = [kind for kind in leaves_by_family() if exits.exit_code(kind("")) == code]
    return ", ".join(f"`{kind.code}`" for kind in kinds)


def api() -> str:
    """Return the page of the API: each operation, and the fields of each message."""
    operations: list[Operation] = [one for kind in APIS for one in kind.operations(Mock())]
    described = document(operations, "https://broker.example.org:8200")
    issuer = issuer_document(["https://broker.example.org:8200/dteam/"])
    schemas = {**_schemas(described), **_schemas(issuer)}
    return "\n".join([
        page("API", API),
        "## Operations\n",
        table(["Request", "Shows", "Takes", "Gives", "What it does"], _operations(described)),
        "## Messages\n",
        "".join(_message(name, kind) for name, kind in sorted(schemas.items())),
        "## A community's own issuer\n",
        f"{AS_AN_ISSUER}\n",
        table(["Request", "Shows", "Takes", "Gives", "What it does"], _operations(issuer)),
    ])  # fmt: skip


API = """\
A broker serves this description itself, in OpenAPI 3.1, as `/api/v1/openapi.json`. A lease is shown as
`Authorization: Bearer <lease token>`, a community's client shows itself by HTTP Basic. Whatever goes wrong is answered
with a `Problem`, whose words are among the [errors](errors.md). Clients of an HTVault find
[its own paths](../htvault-compatibility.md#endpoints)."""

AS_AN_ISSUER = """\
For a community that is called dteam. A broker with communities describes this part as `/api/v1/issuer-openapi.json`;
[the page about it](../issuing.md) says what is signed for whom.
"""


def _operations(described: dict[str, Any]) -> list[list[str]]:
    return [
        [
            f"`{method.upper()} {path}`",
            ", ".join(name for way in one.get("security", []) for name in way) or "nothing",
            _body(one.get("requestBody", {})),
            _body(_success(one)),
            one["summary"],
        ]
        for path, methods in described["paths"].items()
        for method, one in methods.items()
    ]


def _success(operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(
        one for status, one in operation["responses"].items() if status.startswith("2")
    )
    return found


def _body(body: dict[str, Any]) -> str:
    return ", ".join(f"{_type(one['schema'])}" for one in body.get("content", {}).values())


def _schemas(described: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = described["components"]["schemas"]
    return found


def _message(name: str, kind: dict[str, Any]) -> str:
    needed = kind.get("required", [])
    rows = [
        [f"`{field}`", _type(of), "yes" if field in needed else "no", of.get("description", "")]
        for field, of in kind["properties"].items()
    ]
    heads = ["Field", "Type", "Always there", "Meaning"]
    return f"### {name}\n\n" + (table(heads, rows) if rows else "It has no fields.\n") + "\n"


def _type(schema: dict[str, Any]) -> str:
    """Say in a word or two what a JSON schema wants."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format", kind))


def page(title: str, said: str) -> str:
    """Return the head of a page."""
    return f"# {title}\n\n{said}\n\n*{MADE}*\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar within a cell does not end it."""
    cells = [heads, ["---"] * len(heads), *rows]
    lines = ["|".join(["", *(_cell(one) for one in row), ""]) for row in cells]
    return "\n".join(lines).replace("| --- ", "|---") + "\n"


def _cell(text: str) -> str:
    return f" {text.replace('|', chr(92) + '|')} " if text else " "


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "metrics.md": metrics,
    "errors.md": errors,
    "exit-codes.md": exit_codes,
    "api.md": api,
}


def main() -> None:
    """Write all pages."""
    for name, text in PAGES.items():
        (FOLDER / name).write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
