"""The fixture ends a test that leaks, and one that proves nothing."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]
SECRET = "kd83jf0aKQ1zP5vbnT7wXy"

PLANTING = f"""
    def test_planting(canaries, tmp_path):
        canaries.plant("refresh token", "{SECRET}")
        (tmp_path / "log").write_text(%s)
        canaries.search_folder(tmp_path)
"""


def outcome_of(pytester: pytest.Pytester, test: str) -> pytest.RunResult:
    """Run one test with the fixture at hand."""
    pytester.makepyfile(test)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    return pytester.runpytest_inprocess("-p", "tests.canaries")


def test_a_test_that_leaks_nothing_passes(pytester: pytest.Pytester) -> None:
    """A clean log is no reason to fail."""
    outcome_of(pytester, PLANTING % "'all is well'").assert_outcomes(passed=1)


def test_a_leak_fails_the_test_without_showing_the_secret(pytester: pytest.Pytester) -> None:
    """The end of the test tells kind, form and file, and not the value."""
    result = outcome_of(pytester, PLANTING % f"'{SECRET}'.encode().hex()")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*refresh token, hex, in */log"])
    result.stdout.no_fnmatch_line("*Error*" + SECRET + "*")


def test_a_test_that_plants_nothing_fails(pytester: pytest.Pytester) -> None:
    """Asking for canaries and using none would prove nothing."""
    result = outcome_of(pytester, "def test_idle(canaries): pass")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*Plant a secret and look somewhere*"])
