"""Each alert has its page, each page its alert, and both are in the operations page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tests.house.test_docs_facts import rows

ROOT = Path(__file__).parents[2]
RULES = ROOT / "helm/credbroker/rules/credbroker.rules.yaml"
DASHBOARD = ROOT / "helm/credbroker/dashboards/credbroker.json"
RUNBOOKS = ROOT / "docs/runbooks"
SECTIONS = ["What it means", "What still works", "What to do"]


def alerts() -> dict[str, Any]:
    """Return the rules by the names of their alerts."""
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    found = {rule["alert"]: rule for rule in group["rules"]}
    assert len(found) == len(group["rules"])
    return found


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    """The alert leads to it."""
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == alerts().keys()
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


def test_each_page_says_what_it_means_what_still_works_and_what_to_do() -> None:
    """In steps, under the alert's name."""
    for page in RUNBOOKS.glob("*.md"):
        text = page.read_text("utf-8")
        assert text.startswith(f"# {page.stem}\n")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
        assert re.search(r"^1\. ", text.partition("## What to do")[2], re.MULTILINE)


def test_the_operations_page_lists_each_alert_with_what_it_says() -> None:
    """In the order of the rules."""
    listed = [(re.sub(r"[\[`]|\].*", "", row[0]), row[1])
              for row in rows(ROOT / "docs/operations.md", "Alerts")]  # fmt: skip
    assert listed == [(name, rule["annotations"]["summary"]) for name, rule in alerts().items()]


def test_each_alert_says_how_bad_it_is_and_tells_it_in_sentences() -> None:
    """Two levels: now, or in office hours."""
    for rule in alerts().values():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert all(rule["annotations"][one].endswith(".") for one in ("summary", "description"))


def test_the_dashboard_asks_the_data_source_that_is_chosen() -> None:
    """Each panel has a title and a place of its own, and names its series."""
    board = json.loads(DASHBOARD.read_text("utf-8"))
    (chosen,) = board["templating"]["list"]
    panels = board["panels"]
    assert {panel["datasource"]["uid"] for panel in panels} == {f"${{{chosen['name']}}}"}
    for key in ("id", "title"):
        assert len({panel[key] for panel in panels}) == len(panels)
    assert len({(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels}) == len(panels)
    assert all(target["legendFormat"] for panel in panels for target in panel["targets"])
