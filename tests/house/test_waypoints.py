"""The wheel holds no way to stop a broker at a point: only the empty waypoints are in the package."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from tests.house.project import Project

ROOT = Path(__file__).parents[2]
PACKAGE = Project(ROOT).package


def _reaching() -> dict[str, ast.AsyncFunctionDef]:
    """Return every `reach` of a class in the package, by file and class."""
    return {
        f"{source.path}:{owner.name}": method
        for source in PACKAGE
        for owner in ast.walk(source.tree)
        if isinstance(owner, ast.ClassDef)
        for method in owner.body
        if isinstance(method, ast.AsyncFunctionDef) and method.name == "reach"
    }


def test_only_the_port_and_the_empty_waypoints_can_be_reached() -> None:
    """And neither has a body beyond its docstring."""
    found = _reaching()
    assert set(found) == {
        "credbroker/ports/running.py:Waypoints",
        "credbroker/broker/running.py:NoWaypoints",
    }
    assert [len(method.body) for method in found.values()] == [1, 1]


def test_serve_names_no_waypoints() -> None:
    """The command starts its broker without any; only a test's own program passes some."""
    (daemon,) = [one for one in PACKAGE if one.path.name == "daemon.py"]
    (run,) = [
        one for one in daemon.tree.body if isinstance(one, ast.FunctionDef) and one.name == "run"
    ]
    named = [
        word.arg for call in ast.walk(run) if isinstance(call, ast.Call) for word in call.keywords
    ]
    assert "waypoints" not in named


def test_the_wheel_is_made_of_the_package_alone() -> None:
    """So the campaign's brokers, which can be stopped, are in no wheel."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["credbroker"]}
