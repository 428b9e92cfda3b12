"""The demo's figures, and when they prove what the demo is about."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from credbroker.demo.report import Report

GOOD = Report(
    samples=1000,
    invalid_samples=0,
    renewals=5,
    issuer_refreshes=7,
    broker_restarts=1,
    outage_seconds=15.0,
    refresh_token_found_outside=0,
    seconds=70.0,
    longest_gap_seconds=0.2,
    asked_in_vain=2,
    agent_exit_code=0,
    token_file_gone=True,
)


def test_good_figures_are_good() -> None:
    """Renewed again and again, through a crash and an outage, with nothing found outside."""
    assert GOOD.good


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 0},
        {"invalid_samples": 1},
        {"renewals": 3},
        {"broker_restarts": 0},
        {"refresh_token_found_outside": 1},
        {"longest_gap_seconds": 3.1},
        {"outage_seconds": 0.0},
        {"asked_in_vain": 0},
        {"agent_exit_code": -9},
        {"agent_exit_code": None},
        {"token_file_gone": False},
    ],
    ids=str,
)
def test_one_bad_figure_spoils_the_report(change: dict[str, Any]) -> None:
    """A demo that looked at nothing has proved nothing either; what is lacking is said."""
    spoilt = replace(GOOD, **change)
    assert not spoilt.good
    assert len(spoilt.shortcomings()) == 1


def test_what_was_not_measured_counts_as_not_held() -> None:
    """Figures alone, without how they came about, prove nothing."""
    assert len(Report(1000, 0, 5, 7, 1, 15.0, 0, 70.0).shortcomings()) == 4


def test_the_report_for_programs_has_these_keys_in_this_order() -> None:
    """They are relied on by whoever runs the demo in a pipeline."""
    assert list(json.loads(GOOD.as_json())) == [
        "samples", "invalid_samples", "renewals", "issuer_refreshes", "broker_restarts",
        "outage_seconds", "refresh_token_found_outside", "seconds",
    ]  # fmt: skip
    assert GOOD.as_json().endswith("}\n")


def test_the_table_for_people_shows_every_figure() -> None:
    """One row each."""
    assert len(GOOD.rows()) == len(json.loads(GOOD.as_json()))
    assert {value for _, value in GOOD.rows()} >= {"1000", "5", "7", "15 s", "70 s", "0 times"}
