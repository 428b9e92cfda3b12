"""The chart's example sites, what Helm's own library makes of them, and how that is judged."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from kubernetes_validate import (  # type: ignore[attr-defined]  # it offers these without saying so
    ValidationError,
    latest_version,
    validate,
)

from credbroker.config.load import load
from credbroker.config.schema import Settings

CHART = Path(__file__).parents[2] / "helm" / "credbroker"
SITES = sorted(CHART.glob("ci/*-values.yaml"))
RELEASE, NAMESPACE = "tokens", "grid"

Document = dict[str, Any]


def values_of(site: str) -> Document:
    """Return the values of one of the chart's example sites, such as `minimal`."""
    values: Document = yaml.safe_load((CHART / f"ci/{site}-values.yaml").read_text())
    return values


NAMES = [file.stem.removesuffix("-values") for file in SITES]

each_site = pytest.mark.parametrize("site", [values_of(name) for name in NAMES], ids=NAMES)
"""Runs a test with the values of each example site."""


def rendered_texts(values: Document, release: str = RELEASE) -> dict[str, str]:
    """Return what the chart makes of `values`, by the path of the template."""
    with helm_python.Chart.load(CHART) as chart:
        texts: dict[str, str] = chart.render(values, name=release, namespace=NAMESPACE)
    return texts


def render(values: Document, release: str = RELEASE) -> dict[str, Document]:
    """Return the documents for `values`: the broker's by kind, others as in `Service openbao`."""
    texts = rendered_texts(values, release)
    documents: dict[str, Document] = {}
    for path, text in texts.items():
        for one in yaml.safe_load_all(text if path.endswith(".yaml") else ""):
            if one:
                rest = one["metadata"]["name"].removeprefix(f"{NAMESPACE}-").removeprefix(release)
                name = f"{one['kind']} {rest.lstrip('-')}".strip()
                assert name not in documents, f"{name} is rendered twice"
                documents[name] = one
    return documents


def workload_of(rendered: dict[str, Document]) -> Document:
    """Return what runs the broker's pods, of either kind."""
    return rendered.get("StatefulSet") or rendered["Deployment"]


def pod_of(rendered: dict[str, Document]) -> Document:
    """Return the specification of the broker's pod."""
    spec: Document = workload_of(rendered)["spec"]["template"]["spec"]
    return spec


def broker_of(rendered: dict[str, Document]) -> Document:
    """Return the pod's one container."""
    (container,) = pod_of(rendered)["containers"]
    found: Document = container
    return found


def pods_in(rendered: dict[str, Document]) -> dict[str, Document]:
    """Return the specification of every pod that would run, by what runs it."""
    return {
        name: document["spec"]["template"]["spec"]
        for name, document in rendered.items()
        if "template" in document.get("spec", {})
    }


def changed(tree: Document, dotted: str, value: object) -> Document:
    """Return a copy of `tree` with one value put in at `dotted`, such as `image.tag`."""
    result = copy.deepcopy(tree)
    *way, last = dotted.split(".")
    at: Any = result
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    at[last] = value
    return result


def invalid(documents: dict[str, Document]) -> list[str]:
    """Return what Kubernetes' schemas, unknown keys refused, find in the documents of its own."""
    version = latest_version()
    faults = []
    for name, document in documents.items():
        if document["apiVersion"].startswith("monitoring.coreos.com/"):
            continue
        try:
            validate(document, version, strict=True)
        except ValidationError as error:
            faults.append(f"{name}: {error.message}")
    return faults


def unrestricted(pod: Document) -> list[str]:
    """Return where a pod is outside the Pod Security Standard "restricted", or softer than ours."""
    shared = pod.get("securityContext", {})
    allowed = {"configMap", "secret", "emptyDir", "projected"}
    wanted = {
        "host namespaces": not any(pod.get(f"host{name}") for name in ("Network", "PID", "IPC")),
        "volumes": all(volume.keys() & allowed for volume in pod["volumes"]),
        "seccomp": shared.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "not root": shared.get("runAsNonRoot") is True and shared.get("runAsUser", 1) != 0,
    }
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own = container.get("securityContext", {})
        holds = {
            "privileges": not own.get("privileged")
            and own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "own user": own.get("runAsNonRoot", True) and own.get("runAsUser", 1) != 0,
            "own seccomp": "seccompProfile" not in own,
            "root file system": own.get("readOnlyRootFilesystem") is True,
            "host ports": not any("hostPort" in port for port in container.get("ports", [])),
        }
        wanted |= {f"{name} of {container['name']}": held for name, held in holds.items()}
    return [name for name, holds in wanted.items() if not holds]


def settings_in(rendered: dict[str, Document], folder: Path) -> Settings:
    """Read the rendered ConfigMap as the broker in the pod does."""
    for name, text in rendered["ConfigMap"]["data"].items():
        (folder / name).write_text(text)
    return load(folder)
