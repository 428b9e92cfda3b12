"""What is made from the commands' parsers is what they are now, and every help ends with an example."""

from __future__ import annotations

import argparse
import shlex

import pytest

from credbroker.cli.completion import SHELLS
from credbroker.cli.examples import entries, parts
from docs.command_tree import parsers, walk
from docs.generate_commands import COMPLETIONS, PAGE, completions, reference
from docs.man_pages import man_pages

EVERY = {one.prog: one for parser in parsers().values() for one in walk(parser)}
_PROGRAM = "credbroker"


def test_the_page_of_commands_is_what_they_are_now() -> None:
    """If not, `make docs` writes it anew."""
    assert PAGE.read_text("utf-8") == reference()


def test_the_shells_are_told_what_the_commands_are_now() -> None:
    """If not, `make docs` writes them anew; there are no others."""
    made = completions()
    kept = {path.suffix[1:]: path.read_text("utf-8") for path in COMPLETIONS.iterdir()}
    assert set(kept) == set(SHELLS)
    assert kept == made


def test_every_command_has_a_man_page() -> None:
    """And the program itself has one that lists them."""
    pages = man_pages()
    assert set(pages) == {"credbroker", *(f"credbroker-{name}" for name in parsers())}
    listed = pages["credbroker"].replace("\\-", "-")
    assert all(f"credbroker-{name}" in listed for name in parsers())


@pytest.mark.parametrize("prog", EVERY)
def test_every_help_ends_with_an_example_of_its_own(prog: str) -> None:
    """Commands and all their parts."""
    last = EVERY[prog].format_help().rstrip().rpartition("\n\n")[2]
    heading, *lines = last.splitlines()
    assert heading.endswith(":")
    assert lines
    assert f"{prog} " in f"{' '.join(lines)} "


@pytest.mark.parametrize("prog", [one for one, parser in EVERY.items() if not parts(parser)])
def test_the_words_of_every_example_are_understood(prog: str) -> None:
    """By the very parser that shows them; `tests/integration/test_examples.py` runs them."""
    typed = [words for entry in entries(EVERY[prog].epilog or "") for words in own_words(entry)]
    assert typed
    for words in typed:
        assert isinstance(understood(words), argparse.Namespace)


def own_words(entry: list[str]) -> list[list[str]]:
    """Return what follows `credbroker` wherever it stands in a line that a shell reads."""
    joined = " ".join(line.strip().rstrip("\\") for line in entry)
    for sign in ("$(", ")", "`"):
        joined = joined.replace(sign, " ; ")
    read = shlex.shlex(joined, posix=True, punctuation_chars="|;>")
    read.whitespace_split = True
    said: list[list[str]] = [[]]
    for word in read:
        if set(word) <= set("|;>"):
            said.append([])
        else:
            said[-1].append(word)
    found = [words for words in said if _PROGRAM in words]
    return [words[words.index(_PROGRAM) + 1 :] for words in found]


def understood(words: list[str]) -> argparse.Namespace:
    """Return what the command makes of these words; fail the test if it does not take them."""
    name, *rest = words
    return parsers()[name].parse_args(rest)
