"""The chart, rendered by Helm's own library and judged by Kubernetes' schemas and by the broker."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import helm_python
import pytest
import yaml
from kubernetes_validate import (  # type: ignore[attr-defined]  # it offers these without saying so
    ValidationError,
    latest_version,
    validate,
)

import credbroker
from credbroker import daemon
from credbroker.api.health import Health
from credbroker.config.load import load
from credbroker.config.schema import Settings
from credbroker.domain.errors import BadSettings

if TYPE_CHECKING:
    from credbroker.api.outlook import Outlook

CHART = Path(__file__).parents[2] / "helm" / "credbroker"
SITES = sorted(CHART.glob("ci/*-values.yaml"))

Document = dict[str, Any]


def values_of(file: Path) -> Document:
    """Return the values of one of the chart's example sites."""
    values: Document = yaml.safe_load(file.read_text())
    return values


@pytest.fixture(params=SITES, ids=lambda file: file.stem)
def site(request: pytest.FixtureRequest) -> Document:
    """The values of each example site in turn."""
    return values_of(request.param)


@pytest.fixture
def minimal() -> Document:
    """The least values that the chart takes."""
    return values_of(CHART / "ci/minimal-values.yaml")


def render(values: Document, release: str = "tokens") -> dict[str, Document]:
    """Return what the chart makes of `values`, by kind."""
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values, name=release, namespace="grid")
    texts = [text for path, text in rendered.items() if path.endswith(".yaml")]
    documents = [one for text in texts for one in yaml.safe_load_all(text) if one]
    return {document["kind"]: document for document in documents}


def pod_of(rendered: dict[str, Document]) -> Document:
    """Return the specification of the broker's pod."""
    spec: Document = rendered["StatefulSet"]["spec"]["template"]["spec"]
    return spec


def broker_of(rendered: dict[str, Document]) -> Document:
    """Return the pod's one container."""
    (container,) = pod_of(rendered)["containers"]
    found: Document = container
    return found


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
    """Return what Kubernetes' schemas, unknown keys refused, find in the documents."""
    version = latest_version()
    faults = []
    for kind, document in documents.items():
        try:
            validate(document, version, strict=True)
        except ValidationError as error:
            faults.append(f"{kind}: {error.message}")
    return faults


def unrestricted(pod: Document) -> list[str]:
    """Return where a pod is outside the Pod Security Standard "restricted", or softer than ours."""
    shared = pod.get("securityContext", {})
    wanted = {
        "host namespaces": not any(pod.get(f"host{name}") for name in ("Network", "PID", "IPC")),
        "volumes": all(
            volume.keys() & {"configMap", "secret", "emptyDir"} for volume in pod["volumes"]
        ),
        "seccomp": shared.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "not root": shared.get("runAsNonRoot") is True and shared.get("runAsUser", 1) != 0,
        "no token": pod.get("automountServiceAccountToken") is False,
    }
    for container in pod["containers"]:
        own = container.get("securityContext", {})
        wanted |= {
            "privileges": not own.get("privileged")
            and own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "own user": own.get("runAsNonRoot", True) and own.get("runAsUser", 1) != 0,
            "root file system": own.get("readOnlyRootFilesystem") is True,
            "host ports": not any("hostPort" in port for port in container.get("ports", [])),
        }
    return [name for name, holds in wanted.items() if not holds]


def settings_in(rendered: dict[str, Document], folder: Path) -> Settings:
    """Read the rendered ConfigMap as the broker in the pod does."""
    for name, text in rendered["ConfigMap"]["data"].items():
        (folder / name).write_text(text)
    return load(folder)


def test_helm_finds_nothing_to_say(site: Document) -> None:
    """`helm lint --strict` has no warning and no error."""
    report = helm_python.lint(CHART, site, strict=True)
    assert [one for one in report["messages"] if one["severity"] > 1] == []
    assert report["errors"] == []


def test_without_the_least_values_helm_says_what_is_missing() -> None:
    """An empty installation is refused by the names of what must be given."""
    with pytest.raises(helm_python.HelmValuesError) as refused:
        render({})
    for name in ("public_url", "vault", "issuers", "/existingSecrets/tls"):
        assert name in str(refused.value)


def test_the_chart_is_of_the_brokers_own_version() -> None:
    """The image's default tag is this version of the broker."""
    assert (
        yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == credbroker.__version__
    )


def test_kubernetes_knows_all_that_is_rendered(site: Document) -> None:
    """Four documents come out, each right by the schema of its kind."""
    rendered = render(site)
    assert set(rendered) == {"StatefulSet", "Service", "ConfigMap", "ServiceAccount"}
    assert invalid(rendered) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("spec.template.spec.containers.0.readynessProbe", {}),
        ("spec.replicas", "three"),
        ("spec.template.spec.terminationGracePeriod", 200),
    ],
)
def test_a_document_that_kubernetes_does_not_know_is_seen(
    minimal: Document, place: str, value: object
) -> None:
    """A misspelt key and a wrong type do not pass the check above."""
    rendered = render(minimal)
    assert invalid({"StatefulSet": changed(rendered["StatefulSet"], place, value)})


def test_names_and_numbers_that_yaml_would_misread_come_through(minimal: Document) -> None:
    """All digits stay a name, and a large user number stays a number."""
    values = changed(minimal, "existingSecrets.vault", "0123")
    values = changed(values, "image.tag", "1.0")
    values = changed(values, "image.pullSecrets", ["12"])
    values = changed(values, "audit.storageClass", "1e3")
    rendered = render(changed(values, "user", 1000700000), release="2026")
    assert invalid(rendered) == []
    assert rendered["Service"]["metadata"]["name"] == "2026"
    assert pod_of(rendered)["securityContext"]["runAsUser"] == 1000700000


def test_the_pod_is_restricted(site: Document) -> None:
    """The pod may run where only the strictest Pod Security Standard is admitted."""
    assert unrestricted(pod_of(render(site))) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("hostNetwork", True),
        ("volumes", [{"name": "settings", "hostPath": {"path": "/etc"}}]),
        ("securityContext.seccompProfile.type", "Unconfined"),
        ("securityContext.runAsNonRoot", False),
        ("securityContext.runAsUser", 0),
        ("automountServiceAccountToken", True),
        ("containers.0.securityContext.privileged", True),
        ("containers.0.securityContext.allowPrivilegeEscalation", True),
        ("containers.0.securityContext.capabilities.add", ["NET_ADMIN"]),
        ("containers.0.securityContext.runAsUser", 0),
        ("containers.0.securityContext.readOnlyRootFilesystem", False),
        ("containers.0.ports.0.hostPort", 8200),
    ],
)
def test_a_softer_pod_is_seen(minimal: Document, place: str, value: object) -> None:
    """Each way out of the restricted standard is found, and only that one."""
    pod = pod_of(render(minimal))
    assert len(unrestricted(changed(pod, place, value))) == 1


def test_the_broker_takes_the_settings_that_the_chart_renders(
    site: Document, tmp_path: Path
) -> None:
    """What the operator wrote and what the pod decides make one right tree, nothing lost."""
    settings = settings_in(render(site), tmp_path)
    wanted = site["settings"]
    assert settings.public_url == wanted["public_url"]
    assert settings.vault.addresses == wanted["vault"]["addresses"]
    assert settings.issuers.keys() == wanted["issuers"].keys()
    (tmp_path / "99-again.yaml").write_text(yaml.safe_dump(wanted))
    assert load(tmp_path) == settings


def test_a_setting_that_the_broker_does_not_know_is_seen(minimal: Document, tmp_path: Path) -> None:
    """Only the broker's own reader knows its keys, and it is asked."""
    with pytest.raises(BadSettings, match=r"vault\.adresses"):
        settings_in(render(changed(minimal, "settings.vault.adresses", [])), tmp_path)


@pytest.mark.parametrize("text", ["012", "yes", "1e3", "null", "{{ .Values }}", "a: b # c", "ü"])
def test_texts_that_look_like_something_else_stay_texts(
    minimal: Document, tmp_path: Path, text: str
) -> None:
    """Neither YAML nor Helm's templates make anything else of a setting."""
    rendered = render(changed(minimal, "settings.issuers.wlcg.client_id", text))
    assert settings_in(rendered, tmp_path).issuers["wlcg"].client_id == text


def test_long_times_stay_what_they_are(minimal: Document, tmp_path: Path) -> None:
    """Helm counts in floating point; the broker still reads the seconds that were written."""
    rendered = render(changed(minimal, "settings.keeper.dormant_seconds", 123456789))
    assert settings_in(rendered, tmp_path).keeper.dormant_seconds == 123456789


def test_each_file_that_the_settings_name_is_mounted(site: Document, tmp_path: Path) -> None:
    """Secrets, certificates and the audit folder are where the settings look for them."""
    rendered = render(site)
    settings = settings_in(rendered, tmp_path)
    broker = broker_of(rendered)
    writable = {one["mountPath"]: not one.get("readOnly") for one in broker["volumeMounts"]}
    assert [path for path, may in writable.items() if may] == [str(settings.audit.folder)]
    assert {str(file.parent) for file in files_named(settings)} <= writable.keys()


def files_named(settings: Settings) -> list[Path]:
    """Return every file that the settings name."""
    tls = settings.listen.tls
    assert tls is not None
    approle = settings.vault.approle
    files = [tls.certificate_file, tls.key_file, approle.role_id_file, approle.secret_id_file]
    optional = [settings.vault.ca_file]
    for issuer in settings.issuers.values():
        optional += [issuer.ca_file, issuer.client_secret_file]
    return [*files, *(file for file in optional if file is not None)]


def test_secrets_are_readable_by_the_broker_alone(site: Document) -> None:
    """Every Secret is a volume that others cannot read; none is in the environment or the values."""
    rendered = render(site)
    pod = pod_of(rendered)
    mounted = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
    assert {name: one["secretName"] for name, one in mounted.items()} == site["existingSecrets"]
    assert {one["defaultMode"] for one in mounted.values()} == {0o440}
    assert [one["name"] for one in broker_of(rendered)["env"]] == ["POD_NAME"]
    assert "envFrom" not in broker_of(rendered)


def test_the_pod_runs_serve_under_its_own_name(site: Document, tmp_path: Path) -> None:
    """The command is one that the broker takes, and its folder is the one with the settings."""
    broker = broker_of(render(site))
    program, command, *words = broker["command"]
    parser = argparse.ArgumentParser()
    daemon.add_arguments(parser)
    given = parser.parse_args(words)
    assert (program, command, given.replica) == ("credbroker", "serve", "$(POD_NAME)")
    mounts = {one["mountPath"]: one["name"] for one in broker["volumeMounts"]}
    assert mounts[str(given.config)] == "settings"


def test_callers_and_probes_meet_the_port_that_the_broker_listens_on(
    site: Document, tmp_path: Path
) -> None:
    """Service, probes and settings agree on the port, and the probes on paths that there are."""
    rendered = render(site)
    broker = broker_of(rendered)
    (outside,) = rendered["Service"]["spec"]["ports"]
    ports = {one["name"]: one["containerPort"] for one in broker["ports"]}
    listen = settings_in(rendered, tmp_path).listen
    assert outside["port"] == ports[outside["targetPort"]] == listen.port == 8200
    answered = {route.path for route in Health(list, cast("Outlook", None)).routes()}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = broker[name]["httpGet"]
        assert (ports[probe["port"]], probe["scheme"]) == (8200, "HTTPS")
        assert probe["path"] in answered


def test_the_service_finds_the_pods(site: Document) -> None:
    """What the Service and the StatefulSet select by, the pods have."""
    rendered = render(site)
    labels = rendered["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    selectors = (
        rendered["Service"]["spec"]["selector"],
        rendered["StatefulSet"]["spec"]["selector"]["matchLabels"],
    )
    for selector in selectors:
        assert selector.items() <= labels.items()


def test_three_replicas_stand_behind_a_load_balancer_with_a_volume_each() -> None:
    """The larger example site comes out as it was meant."""
    rendered = render(values_of(CHART / "ci/three-replicas-values.yaml"))
    spec = rendered["StatefulSet"]["spec"]
    assert spec["replicas"] == 3
    assert spec["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    assert rendered["Service"]["spec"]["type"] == "LoadBalancer"
    assert rendered["Service"]["spec"]["externalTrafficPolicy"] == "Local"
    assert "@sha256:" in broker_of(rendered)["image"]


def test_other_settings_mean_other_pods(minimal: Document) -> None:
    """A changed setting changes the pods' template, so that Kubernetes replaces them."""
    louder = changed(minimal, "settings.log.level", "debug")
    templates = [render(one)["StatefulSet"]["spec"]["template"] for one in (minimal, louder)]
    assert templates[0]["metadata"] != templates[1]["metadata"]
    assert templates[0]["spec"] == templates[1]["spec"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("replica", 3),
        ("replicas", 0),
        ("replicas", "3"),
        ("image.registry", "images.example.org"),
        ("image.digest", "sha256:short"),
        ("service.type", "NodePort"),
        ("existingSecrets.vault", ""),
        ("existingSecrets.other", "name"),
        ("user", 0),
        ("settings.listen", {"port": 8300}),
        ("settings.audit", {"folder": "/elsewhere"}),
        ("settings.public_url", "http://tokens.example.org"),
        ("settings.vault.approle", {"role_id_file": "/elsewhere"}),
    ],
)
def test_values_that_the_chart_cannot_keep_are_refused(
    minimal: Document, place: str, value: object
) -> None:
    """A misspelt value, a wrong one, and what only the pod may decide stop the installation."""
    with pytest.raises(helm_python.HelmValuesError):
        render(changed(minimal, place, value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("settings.issuers.wlcg.client_secret", "swordfish"),
        ("settings.issuers.wlcg.clientSecret", "swordfish"),
        ("settings.issuers.wlcg.client_secret_file", "swordfish"),
        ("settings.vault.approle", {"secret_id": "swordfish"}),
        ("settings.vault.approle", {"role_id": "swordfish"}),
        ("settings.vault.token", "swordfish"),
        ("settings.extra", [{"password": "swordfish"}]),
        ("settings.vault.ca_file", "/ca\nswordfish"),
        ("existingSecrets.vault", {"role-id": "swordfish"}),
        ("existingSecrets.roleId", "swordfish"),
    ],
)
def test_a_secret_among_the_values_is_refused(minimal: Document, place: str, value: object) -> None:
    """No secret gets into the values, where it would be readable in the release and the ConfigMap."""
    with pytest.raises(helm_python.HelmValuesError) as refused:
        render(changed(minimal, place, value))
    assert place.rpartition(".")[0].replace(".", "/") in str(refused.value)
    assert place.rpartition(".")[2] in str(refused.value)
    assert "swordfish" not in str(refused.value)


def test_all_values_are_described_by_the_schema(minimal: Document) -> None:
    """Every default that values.yaml offers may be written out in full."""
    offered = yaml.safe_load((CHART / "values.yaml").read_text())
    assert invalid(render({**offered, **minimal})) == []
