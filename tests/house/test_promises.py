"""Each promise says where it is kept, and names tests that try to break it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.test_docs_facts import exists, is_a_test, named

PAGE = Path(__file__).parents[2] / "docs" / "promises.md"
PROMISES = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
LEAST_TESTS = 4


def test_there_are_ten_promises_in_their_order() -> None:
    """They are cited by their numbers."""
    assert [one.partition(".")[0] for one in PROMISES] == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.partition("\n")[0])
def test_a_promise_names_its_code_and_the_tests_that_try_to_break_it(promise: str) -> None:
    """Of several kinds, each of which exists; none is named twice."""
    kept = named(promise.partition("\nKept in: ")[2].partition("\n\n")[0])
    assert kept
    assert all(map(exists, kept))
    tests = re.findall(r"^- `([^`]+)`$", promise, re.MULTILINE)
    assert len(set(tests)) == len(tests) >= LEAST_TESTS
    assert [one for one in tests if not is_a_test(one)] == []
    assert len({one.partition("::")[0] for one in tests}) > 1


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.partition("\n")[0])
def test_a_promise_is_tried_with_real_parts_too(promise: str) -> None:
    """Rules alone prove nothing about programs, files and networks."""
    assert re.search(r"`tests/(integration|interop)/", promise)
