"""Each house rule finds what breaks it, in the place where it is, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.house import counterparts, doors, excuses, links, old_python, sizes, words
from tests.house.__main__ import CHECKS, findings
from tests.house.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FUTURE = "from __future__ import annotations\n"


class Tree:
    """A small project on disk, to plant violations in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str = "") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def found(self, check: Callable[[Project], Iterator[str]]) -> list[str]:
        return list(check(Project(self.root)))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Nothing but an empty folder."""
    return Tree(tmp_path)


def function_of(lines: int, name: str = "walk") -> str:
    """Write a function that has so many lines."""
    return f"def {name}():\n" + "    pass\n" * (lines - 1)


def test_an_empty_project_breaks_no_rule(tree: Tree) -> None:
    """A folder that does not exist yet is no violation."""
    assert findings(tree.root) == []


def test_every_check_is_in_the_table() -> None:
    """One that is not would never run."""
    modules = (counterparts, doors, excuses, links, old_python, sizes, words)
    written = {
        check
        for module in modules
        for name, check in vars(module).items()
        if callable(check) and check.__module__ == module.__name__ and not name.startswith("_")
    }
    assert written == set(CHECKS)


def test_a_module_of_401_lines_is_found(tree: Tree) -> None:
    """One of 400 is not."""
    tree.write("credbroker/api/long.py", "a = 1\n" * 401)
    tree.write("credbroker/api/fits.py", "a = 1\n" * 400)
    (finding,) = tree.found(sizes.modules_are_short)
    assert finding.startswith("credbroker/api/long.py:1: 401 lines")


def test_a_function_of_61_lines_is_found(tree: Tree) -> None:
    """Also an async one inside a class; one of 60 is not."""
    long = "".join(f"    {line}\n" for line in function_of(61).splitlines())
    tree.write("credbroker/api/long.py", f"class A:\n{long}".replace("def", "async def"))
    tree.write("credbroker/api/fits.py", function_of(60))
    (finding,) = tree.found(sizes.functions_are_short)
    assert finding.startswith("credbroker/api/long.py:2: walk has 61 lines")


def test_a_median_above_15_lines_is_found(tree: Tree) -> None:
    """One of 15 is not."""
    tree.write("credbroker/a.py", function_of(15) + function_of(2) + function_of(40))
    assert tree.found(sizes.most_functions_are_tiny) == []
    tree.write("credbroker/b.py", function_of(40) + function_of(40))
    (finding,) = tree.found(sizes.most_functions_are_tiny)
    assert "median function has 40 lines" in finding


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("class GrantManager: ...", "manager"),
        ("class HTTPHandler: ...", "handler"),
        ("def process_grant(): ...", "process"),
        ("async def _read_data(): ...", "data"),
        ("class A:\n    def user_info(self): ...", "info"),
        ("class VaultCredential: ...", "credential"),
    ],
)
def test_a_banned_word_in_a_name_is_found(tree: Tree, text: str, word: str) -> None:
    """In camel case and snake case, public or not."""
    tree.write("credbroker/api/names.py", text)
    (finding,) = tree.found(words.names_use_the_vocabulary)
    assert f'"{word}"' in finding


def test_a_banned_word_in_a_module_or_folder_is_found(tree: Tree) -> None:
    """Both are names as well."""
    tree.write("credbroker/utils/a.py")
    tree.write("credbroker/api/helper.py")
    assert len(tree.found(words.names_use_the_vocabulary)) == 2


def test_a_class_called_token_is_found(tree: Tree) -> None:
    """It does not say which."""
    tree.write("credbroker/api/names.py", "class AccessToken: ...\nclass Token: ...")
    (finding,) = tree.found(words.names_use_the_vocabulary)
    assert finding.startswith("credbroker/api/names.py:2: say which token")


def test_words_that_only_contain_a_banned_one_pass(tree: Tree) -> None:
    """So do names that a standard gave."""
    text = "def userinfo(): ...\ndef updated(): ...\ndef client_credentials_grant(): ..."
    tree.write("credbroker/api/processors.py", text)
    assert tree.found(words.names_use_the_vocabulary) == []


@pytest.mark.parametrize("text", ["a = secret.reveal()", "a = map(Secret.reveal, b)"])
def test_a_secret_revealed_in_the_wrong_room_is_found(tree: Tree, text: str) -> None:
    """Called or handed on; the rooms that send and store it may."""
    for room in ("broker/minting", "telemetry/audit", "ports", "stores/vault", "wire/oidc"):
        tree.write(f"credbroker/{room}.py", text)
    found = tree.found(doors.secrets_are_revealed_in_few_rooms)
    assert [finding.split(":")[0] for finding in found] == [
        "credbroker/broker/minting.py",
        "credbroker/ports.py",
        "credbroker/telemetry/audit.py",
    ]


@pytest.mark.parametrize(
    "text",
    ["structlog.configure()", "structlog.configure_once()", "from structlog import configure"],
)
def test_logs_configured_outside_telemetry_are_found(tree: Tree, text: str) -> None:
    """Telemetry itself may, and other things may be called configure."""
    tree.write("credbroker/daemon.py", f"canvas.configure()\n{text}")
    tree.write("credbroker/telemetry/logging.py", text)
    (finding,) = tree.found(doors.logs_are_configured_in_one_room)
    assert finding.startswith("credbroker/daemon.py:2:")


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("@pytest.mark.skip\ndef test_a(): ...", False),
        ("@pytest.mark.xfail()\ndef test_a(): ...", False),
        ("@pytest.mark.skipif(True)\ndef test_a(): ...", False),
        ("pytest.skip()", False),
        ("pytestmark = [pytest.mark.skip]", False),
        ("@pytest.mark.skipif(True, reason='no Kerberos here')\ndef test_a(): ...", True),
        ("pytest.skip('needs Node.js')", True),
        ("words.skip(3)", True),
    ],
)
def test_a_test_skipped_without_a_reason_is_found(tree: Tree, text: str, fine: bool) -> None:
    """As a mark, bare or called, and as a call."""
    tree.write("tests/unit/test_a.py", text)
    assert (tree.found(excuses.skipped_tests_say_why) == []) is fine


@pytest.mark.parametrize(
    ("comment", "fine"),
    [
        ("# type: ignore", False),
        ("# type: ignore because", False),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore[arg-type]  # the stub is wrong", True),
        ("# a type is not ignored", True),
    ],
)
def test_a_type_ignored_without_code_or_reason_is_found(
    tree: Tree, comment: str, fine: bool
) -> None:
    """In the package and in the tests, but not inside a string."""
    tree.write("credbroker/api/a.py", f"a = '# type: ignore'\nb = 2  {comment}\n")
    tree.write("tests/test_a.py", f"b = 2  {comment}\n")
    lines = ["credbroker/api/a.py:2", "tests/test_a.py:1"]
    found = tree.found(excuses.ignored_types_say_why)
    assert [finding.split(": ")[0] for finding in found] == ([] if fine else lines)


def test_a_module_without_its_test_file_is_found(tree: Tree) -> None:
    """At the same place in the tree; rooms that need the real world are tested elsewhere."""
    for module in ("edge/condor/plan", "edge/condor/orders", "edge/__init__", "stores/vault"):
        tree.write(f"credbroker/{module}.py")
    tree.write("tests/unit/edge/condor/test_plan.py")
    (finding,) = tree.found(counterparts.modules_have_their_tests)
    assert finding.endswith("has no tests/unit/edge/condor/test_orders.py")


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("import datetime\na = datetime.UTC\n", "3.11"),
        ("match a:\n    case 1: ...\n", "3.10"),
        ("from dataclasses import dataclass\n@dataclass(slots=True)\nclass A: ...\n", "3.10"),
        ("from typing import Self\n", "3.11"),
    ],
)
def test_what_came_after_python_3_9_is_found_in_the_pyz_rooms(
    tree: Tree, text: str, since: str
) -> None:
    """In each of them, and in none of the others."""
    for module in ("edge/job/a", "host/clock", "__main__", "host/systemd", "broker/b", "ports"):
        tree.write(f"credbroker/{module}.py", text)
    found = tree.found(old_python.old_python_knows_all_names_and_syntax)
    rooms = ["credbroker/__main__.py", "credbroker/edge/job/a.py", "credbroker/host/clock.py"]
    assert sorted(finding.split(":")[0] for finding in found) == rooms
    assert all(finding.endswith(f"needs Python {since}") for finding in found)


def test_what_only_a_type_checker_reads_may_be_later(tree: Tree) -> None:
    """Annotations and imports under TYPE_CHECKING are never evaluated."""
    text = (
        f"{FUTURE}from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from typing import Self\n    Grant = A | None\n"
        "def walk(a: int | None, *b: A | B) -> list[int] | None: ...\nc: str | None = None\n"
        "d = 1 | 2\ne = {1} | {2}\nf = FLAG | re.I\n"
    )
    tree.write("credbroker/wire/a.py", text)
    assert findings(tree.root) == ["credbroker/wire/a.py:1: has no tests/unit/wire/test_a.py"]


@pytest.mark.parametrize(
    "text", ["A = str | None", "isinstance(a, int | B)", "A = Granted | Refused", "A = list[B] | C"]
)
def test_a_union_that_is_evaluated_is_found(tree: Tree, text: str) -> None:
    """Python 3.9 has no `|` between types."""
    tree.write("credbroker/wire/a.py", text)
    tree.write("credbroker/broker/a.py", text)
    (finding,) = tree.found(old_python.old_python_evaluates_no_union)
    assert finding.startswith("credbroker/wire/a.py:1:")


@pytest.mark.parametrize("text", ["def walk(a: int): ...", "def walk() -> int: ...", "a: int = 1"])
def test_annotations_that_would_be_evaluated_are_found(tree: Tree, text: str) -> None:
    """The future import makes them text; without annotations it is not needed."""
    tree.write("credbroker/wire/lacks.py", text)
    tree.write("credbroker/wire/has.py", f'"""Duty."""\n\n{FUTURE}\n{text}')
    tree.write("credbroker/wire/plain.py", "def walk(a): ...")
    (finding,) = tree.found(old_python.annotations_are_never_evaluated)
    assert finding.startswith("credbroker/wire/lacks.py:1:")


def test_a_link_that_leads_nowhere_is_found(tree: Tree) -> None:
    """Inline or by reference, at the top and below docs, but not in code."""
    tree.write("docs/adr/0001-rooms.md", "[up](../token%20path.md) [top](../../README.md)")
    tree.write(
        "README.md",
        "[good](docs/adr/0001-rooms.md#context) [web](https://example.org/x) [here](#top)\n"
        "```\n[code](none.md)\n```\n`[code](none.md)`\n\n[bad](docs/none.md)\n[ref]: gone.md\n",
    )
    assert tree.found(links.links_lead_somewhere) == [
        "README.md:7: docs/none.md does not exist",
        "README.md:8: gone.md does not exist",
        "docs/adr/0001-rooms.md:1: ../token%20path.md does not exist",
    ]


def test_a_link_elsewhere_that_cannot_be_right_is_found(tree: Tree) -> None:
    """Without a host, or unprotected; whether the place is there is not asked."""
    tree.write(
        "docs/page.md",
        "[good](https://example.org/x) [here](#top)\n[no host](https:///x)\n[open](http://example.org)\n",
    )
    assert tree.found(links.links_elsewhere_are_whole) == [
        "docs/page.md:2: https:///x is no https address",
        "docs/page.md:3: http://example.org is no https address",
    ]
