"""Which lines of a command's example belong to which of its parts."""

from __future__ import annotations

import argparse

from credbroker.cli.examples import entries, parts, share_example

EXAMPLE = """\
example:
  broker job new cms \\
      --out run42.json
  broker job end run42.json
  VALUE=$(broker job end other.json)

A word about it.
"""


def made() -> argparse.ArgumentParser:
    """Return a command with two parts."""
    parser = argparse.ArgumentParser(prog="broker job")
    below = parser.add_subparsers()
    for name in ("new", "end"):
        below.add_parser(name)
    return parser


def test_a_line_goes_on_after_a_backslash() -> None:
    """And what is not indented is no line to type."""
    assert [len(one) for one in entries(EXAMPLE)] == [2, 1, 1]
    assert list(entries("")) == []


def test_each_part_ends_its_help_with_its_own_lines() -> None:
    """In the order of the whole, as they stand there."""
    parser = made()
    share_example(parser, EXAMPLE)
    assert parser.epilog is None
    helps = {name: part.format_help() for name, part in parts(parser).items()}
    assert list(helps) == ["new", "end"]
    assert helps["new"].endswith(
        "example:\n  broker job new cms \\\n      --out run42.json\n"
    )  # fmt: skip
    assert helps["end"].endswith(
        "example:\n  broker job end run42.json\n  VALUE=$(broker job end other.json)\n"
    )


def test_a_command_without_parts_has_none() -> None:
    """Options with choices are no parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shell", choices=["bash"])
    assert parts(parser) == {}
