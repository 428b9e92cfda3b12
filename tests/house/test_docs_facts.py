"""What README and docs state as fact is so: names, tables, figures of the demo, import floors."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.broker import leasing, minting, trail
from credbroker.broker.deliveries import ordering
from credbroker.broker.issuing import files
from credbroker.broker.issuing import trail as signed
from credbroker.config import schema
from credbroker.config.meanings import MEANINGS
from credbroker.demo.report import Report
from credbroker.domain.grants import GrantState
from credbroker.domain.rotation import MOVES, Event
from credbroker.stores.broker_place import broker_policy
from docs.generate import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
AUDIT = DOCS / "reference" / "audit.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
ROOMS = sorted(path.stem for path in (ROOT / "credbroker").iterdir() if path.stem[0] != "_")

# How the package writes a line of the audit trail, or adds fields to one.
RECORDING = {
    "self._audit.record", "self._note", "audit.record", "self._logins.note", "self.note",
    "self._made", "self._audit.record_all",
}  # fmt: skip


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of every table row below a heading, table heads left out."""
    lines = page.read_text("utf-8").splitlines()
    start = next(at for at, line in enumerate(lines) if re.fullmatch(rf"#+ {heading}", line)) + 1
    section = takewhile(lambda pair: not pair[0].startswith("#"), pairwise([*lines[start:], "#"]))
    bodies = [line for line, after in section if _is_row(line, after)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in bodies]


def _is_row(line: str, after: str) -> bool:
    return line.startswith("| ") and not after.startswith("|---")


def named(cells: str) -> set[str]:
    """Return what stands in backticks."""
    return set(re.findall(r"`([^`]+)`", cells))


def exists(dotted: str) -> bool:
    """Tell whether `credbroker.<dotted>` is a module or something in one."""
    parts = dotted.removeprefix("credbroker.").split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(["credbroker", *parts[:depth]]))
        except ModuleNotFoundError:
            continue
        try:
            for name in parts[depth:]:
                found = getattr(found, name)
        except AttributeError:
            return False
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_of_the_code_that_a_page_mentions_exists(page: Path) -> None:
    """Modules, classes and functions, written as `room.module.name`."""
    written = named(page.read_text("utf-8"))
    pattern = re.compile(rf"(?:credbroker\.)?(?:{'|'.join(ROOMS)})(?:\.\w+)+")
    names = {
        one
        for one in written
        if pattern.fullmatch(one) and not one.endswith((".py", ".example.org"))
    }
    keys = dict(settings_of(schema.Settings))
    assert [one for one in sorted(names - keys.keys()) if not exists(one)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_file_that_a_page_mentions_exists(page: Path) -> None:
    """A promise points at what tries to break it."""
    files = re.findall(r"`(tests/[\w/]+\.py)`", page.read_text("utf-8"))
    assert [one for one in files if not (ROOT / one).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    """Named as pytest wants them: `tests/…py::name`."""
    tests = re.findall(r"`(tests/[^`]*::[^`]*)`", page.read_text("utf-8"))
    assert [one for one in tests if not is_a_test(one)] == []


def is_a_test(named_so: str) -> bool:
    """Tell whether a file has a test of this name."""
    file, _, name = named_so.partition("::")
    if not (ROOT / file).is_file():
        return False
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return name.startswith("test_") and any(
        isinstance(one, functions) and one.name == name for one in tree.body
    )


def test_a_wrong_test_would_be_noticed() -> None:
    """By its file as well as by its name."""
    here = "tests/house/test_docs_facts.py"
    assert is_a_test(f"{here}::test_a_wrong_test_would_be_noticed")
    assert not is_a_test(f"{here}::test_that_nobody_wrote")
    assert not is_a_test(f"{here}::is_a_test")
    assert not is_a_test("tests/house/nowhere.py::test_a_wrong_test_would_be_noticed")


def test_every_incident_has_a_test() -> None:
    """In the order of their numbers."""
    stated = rows(DOCS / "incidents.md", "Incidents")
    numbers = [int(row[0]) for row in stated]
    assert numbers == sorted(set(numbers))
    assert [row[0] for row in stated if len(row) != 4 or not named(row[3])] == []


@pytest.mark.parametrize(
    "heading", ["What the transport must bear", "Endpoints", "Differences that are meant"]
)
def test_what_clients_of_an_htvault_meet_has_a_test(heading: str) -> None:
    """Each row of these tables names one, by file and name."""
    stated = rows(DOCS / "htvault-compatibility.md", heading)
    assert stated
    assert [row[0] for row in stated if not any("::" in one for one in named(row[-1]))] == []


def test_the_custody_page_has_the_table_of_moves() -> None:
    """Each event, from where to where, and no other."""
    stated = {
        (GrantState(before), Event(event.strip("`"))): GrantState(after.strip("`"))
        for event, befores, after, _ in rows(DOCS / "custody.md", "States and events")
        for before in named(befores)
    }
    assert stated == MOVES


def test_a_wrong_name_would_be_noticed() -> None:
    """The search itself can tell."""
    assert exists("broker.minting.Minting.mint_access_token")
    assert not exists("broker.minting.Minting.mint_refresh_token")
    assert not exists("broker.baking")


@pytest.mark.parametrize(
    ("heading", "steps"),
    [
        ("One token's path", 10),
        ("A login with htgettoken", 10),
        ("A read with a vault token", 6),
        ("A token for a service", 5),
    ],
)
def test_the_token_path_names_what_it_walks_through(heading: str, steps: int) -> None:
    """Each step of each walk names at least one function or class."""
    page = (DOCS / "token-path.md").read_text("utf-8")
    _, walk = re.split(rf"^#+ {heading}$", page, flags=re.MULTILINE)
    walk = re.split(r"^#", walk, flags=re.MULTILINE)[0]
    walked = re.split(r"^\d+\. ", walk, flags=re.MULTILINE)[1:]
    assert len(walked) == steps
    assert all(re.search(r"`\w+\.\w+\.\w+", step) for step in walked)


def test_the_floors_drawn_are_those_that_are_checked() -> None:
    """The drawing in the architecture page is the first import contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (layers,) = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    page = (DOCS / "architecture.md").read_text("utf-8")
    (drawn,) = [
        block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "domain" in block
    ]
    assert drawn.splitlines() == layers


def test_every_room_has_its_line_in_the_architecture() -> None:
    """And no line is about a room that is gone."""
    described = {name.rstrip("/").removesuffix(".py") for row in rows(DOCS / "architecture.md", "Rooms")
                 for name in named(row[0])}  # fmt: skip
    assert described == set(ROOMS) - {"zipapp"}


def test_every_state_of_a_grant_is_in_the_glossary() -> None:
    """In the order of the code."""
    stated = [row[0].strip("`") for row in rows(DOCS / "glossary.md", "States of a grant")]
    assert stated == [state.value for state in GrantState]


def test_every_setting_has_a_meaning() -> None:
    """The reference and `config example` are made of these; none is about a setting that is gone."""
    assert sorted(MEANINGS) == sorted(key for key, _ in settings_of(schema.Settings))


def test_every_audit_event_is_in_the_reference() -> None:
    """The events that are recorded, and no others."""
    stated = [row[0].strip("`") for row in rows(AUDIT, "Events")]
    found = [word for call, chosen in recordings() for word in texts_of(call.args[0], chosen)]
    assert sorted(stated) == sorted(set(found))


def test_every_audit_field_is_in_the_reference() -> None:
    """Those that every line has, those named at each call, and those that several calls share."""
    stated = [name for row in rows(AUDIT, "Fields") for name in named(row[0])]
    at_calls = {word.arg for call, _ in recordings() for word in call.keywords if word.arg}
    in_every_line = {"time", "event", "replica", "previous"}
    assert set(stated) == in_every_line | at_calls | set(shared_fields())
    assert len(stated) == len(set(stated))


def recordings() -> Iterator[tuple[ast.Call, dict[str, ast.expr]]]:
    """Find each call that writes to an audit trail, and what names stand for around it."""
    for source in (ROOT / "credbroker").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(source.read_text("utf-8"))))
        chosen = {ast.unparse(node.targets[0]): node.value for node in nodes
                  if isinstance(node, ast.Assign)}  # fmt: skip
        for node in nodes:
            if isinstance(node, ast.Call) and ast.unparse(node.func) in RECORDING and node.args:
                yield node, chosen


def texts_of(said: ast.expr, chosen: dict[str, ast.expr]) -> list[str]:
    """Return every text that an expression, or the name for it, may come to."""
    expression = chosen.get(ast.unparse(said), said)
    return [one.value for one in ast.walk(expression)
            if isinstance(one, ast.Constant) and isinstance(one.value, str)]  # fmt: skip


def shared_fields() -> Iterator[str]:
    """Return the fields that these put into a line."""
    for module, name in (
        (leasing, "about"), (minting, "_traces"), (trail, "about"), (trail, "names"),
        (trail, "own_traces"), (trail, "shared_traces"), (trail, "whence"), (ordering, "of_order"), (signed, "about_signed"),
        (files, "_line"),
    ):  # fmt: skip
        tree = ast.parse(inspect.getsource(getattr(module, name)))
        (told,) = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
        yield from (ast.literal_eval(key) for key in told.keys if key is not None)


def test_the_policy_file_is_the_policy() -> None:
    """What an operator gives OpenBao is what the demo and the tests run under."""
    assert (DOCS / "openbao-policy.hcl").read_text("utf-8") == broker_policy("credbroker")


def test_the_demo_prints_what_the_readme_shows() -> None:
    """Each line of the excerpt is one that the story tells or the report lists."""
    shown = re.findall(r"```text\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (excerpt,) = [one for one in shown if "looks at the token file" in one]
    told = list(sentences_of_the_demo())
    labels = {name for name, _ in Report(1, 1, 1, 1, 1, 1.0, 1, 1.0).rows()}
    for line in filter(None, excerpt.splitlines()):
        sentence = re.sub(r"^ *\d+\.\d s  ", "", line)
        if sentence == line:
            assert re.split(r"  +", line.strip())[0] in labels
        else:
            assert any(re.fullmatch(pattern, sentence) for pattern in told), sentence


def sentences_of_the_demo() -> Iterator[str]:
    """Return each sentence of the story as a pattern that leaves open what is filled in."""
    story = ast.parse((ROOT / "credbroker/demo/story.py").read_text("utf-8"))
    for node in ast.walk(story):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._say":
            (said,) = node.args
            parts = said.values if isinstance(said, ast.JoinedStr) else [said]
            fixed = [str(one.value) if isinstance(one, ast.Constant) else "" for one in parts]
            if any(re.search(r"\w", text) for text in fixed):
                yield "".join(re.escape(text) or ".+" for text in fixed)


def test_the_first_screen_says_what_it_is_and_how_to_try_it() -> None:
    """Both commands stand there as they are typed, within forty lines."""
    screen = README.read_text("utf-8").splitlines()[:40]
    assert {"make demo", "make test"} <= set(screen)
