"""The chart's README says what its values are, and says it of all of them."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

import yaml

from tests.integration.chart_world import CHART, SITES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def writer() -> ModuleType:
    """Return the program that writes it."""
    spec = importlib.util.spec_from_file_location("chart_readme", CHART.parent / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys_in(values: object, above: str = "") -> Iterator[str]:
    """Yield every value's dotted key, and those of the parts that they stand in."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield f"{above}{key}"
            yield from keys_in(value, f"{above}{key}.")


def test_the_table_of_values_is_that_of_the_values() -> None:
    """Whoever changes a value or its comment runs `python helm/readme.py`."""
    assert (CHART / "README.md").read_text() == writer().readme()


def test_every_value_is_described() -> None:
    """By itself, or with the part that it belongs to."""
    text = (CHART / "values.yaml").read_text()
    said = {key for key, _, _ in writer().rows(text)}
    parts = {key for key, default, _ in writer().rows(text) if not default}
    undescribed = [
        key
        for key in keys_in(yaml.safe_load(text))
        if key not in said and not any(key.startswith(f"{one}.") for one in said - parts)
        and not any(one.startswith(f"{key}.") for one in said)
    ]  # fmt: skip
    assert undescribed == []


def test_what_the_readme_leads_to_is_there() -> None:
    """Every example site, and every file that it names."""
    text = (CHART / "README.md").read_text()
    named = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert [one for one in named if not (CHART / one).exists()] == []
    assert {f"ci/{site.name}" for site in SITES} <= set(named)
