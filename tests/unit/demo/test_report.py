"""The demo's figures, and when they prove what the demo is about."""

from __future__ import annotations

import json
from dataclasses import replace

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
    ],
    ids=str,
)
def test_one_bad_figure_spoils_the_report(change: dict[str, int]) -> None:
    """A demo that looked at nothing has proved nothing either."""
    assert not replace(GOOD, **change).good


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
