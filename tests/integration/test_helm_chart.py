"""The chart, rendered by Helm's own library and judged by Kubernetes' schemas."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import helm_python
import pytest
import yaml

import credbroker
from tests.integration.chart_world import (
    CHART,
    NAMES,
    changed,
    each_site,
    invalid,
    pod_of,
    pods_in,
    render,
    rendered_texts,
    unrestricted,
    values_of,
    workload_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.chart_world import Document


@pytest.fixture
def minimal() -> Document:
    """The least values that the chart takes."""
    return values_of("minimal")


@each_site
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


@each_site
def test_kubernetes_knows_all_that_is_rendered(site: Document) -> None:
    """Each document is right by the schema of its kind, unknown keys refused."""
    rendered = render(site)
    least = {"Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget"}
    assert least < set(rendered)
    assert invalid(rendered) == []


@each_site
def test_all_that_is_rendered_is_in_one_namespace_and_labelled(site: Document) -> None:
    """Nothing is put anywhere else, and each thing says what made it."""
    for document in render(site).values():
        assert "namespace" not in document["metadata"]
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "tokens"
        assert labels["helm.sh/chart"].startswith("credbroker-")


def test_each_example_site_is_its_own_kind_of_site() -> None:
    """Between them they have every part of the chart."""
    kinds = {name: set(render(values_of(name))) for name in NAMES}
    assert len(kinds) == 5
    assert "Deployment" in kinds["no-volume"]
    assert "StatefulSet openbao" in kinds["bundled-openbao"]
    assert "Ingress" in kinds["behind-a-balancer"]
    assert "StatefulSet" in kinds["three-replicas"]
    assert kinds["minimal"] == {
        "StatefulSet", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy",
    }  # fmt: skip


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
    values = changed(values, "volume.storageClass", "1e3")
    rendered = render(changed(values, "user", 1000700000), release="2026")
    assert invalid(rendered) == []
    assert rendered["Service"]["metadata"]["name"] == "2026"
    assert pod_of(rendered)["securityContext"]["runAsUser"] == 1000700000


@each_site
def test_the_pod_is_restricted(site: Document) -> None:
    """Every pod may run where only the strictest Pod Security Standard is admitted."""
    pods = pods_in(render(site))
    assert {name: unrestricted(pod) for name, pod in pods.items()} == {name: [] for name in pods}


@each_site
def test_the_broker_has_no_way_into_the_cluster(site: Document) -> None:
    """It asks nothing of the cluster, and an OpenBao that does may ask one thing."""
    rendered = render(site)
    assert pod_of(rendered)["automountServiceAccountToken"] is False
    assert rendered["ServiceAccount"]["automountServiceAccountToken"] is False
    bindings = [one for one in rendered.values() if "roleRef" in one]
    assert {one["roleRef"]["name"] for one in bindings} <= {"system:auth-delegator"}
    subjects = [subject["name"] for one in bindings for subject in one["subjects"]]
    assert rendered["ServiceAccount"]["metadata"]["name"] not in subjects


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("hostNetwork", True),
        ("volumes", [{"name": "settings", "hostPath": {"path": "/etc"}}]),
        ("securityContext.seccompProfile.type", "Unconfined"),
        ("securityContext.runAsNonRoot", False),
        ("securityContext.runAsUser", 0),
        ("containers.0.securityContext.privileged", True),
        ("containers.0.securityContext.allowPrivilegeEscalation", True),
        ("containers.0.securityContext.capabilities.add", ["NET_ADMIN"]),
        ("containers.0.securityContext.runAsUser", 0),
        ("containers.0.securityContext.readOnlyRootFilesystem", False),
        ("containers.0.ports.0.hostPort", 8200),
        (
            "initContainers",
            [
                {
                    "name": "first",
                    "securityContext": {
                        "readOnlyRootFilesystem": True,
                        "allowPrivilegeEscalation": False,
                    },
                }
            ],
        ),
    ],
)
def test_a_softer_pod_is_seen(minimal: Document, place: str, value: object) -> None:
    """Each way out of the restricted standard is found, and only that one."""
    pod = pod_of(render(minimal))
    assert len(unrestricted(changed(pod, place, value))) == 1


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("replica", 3),
        ("replicas", 0),
        ("replicas", "3"),
        ("image.registry", "images.example.org"),
        ("image.digest", "sha256:short"),
        ("service.type", "NodePort"),
        ("service.type", "ExternalName"),
        ("spool", "maybe"),
        ("existingSecrets.vault", ""),
        ("openbao.replicas", 2),
        ("openbao.replicas", 3),
        ("network.ports", []),
        ("existingSecrets.other", "name"),
        ("user", 0),
        ("settings.listen", {"port": 8300}),
        ("settings.audit", {"folder": "/elsewhere"}),
        ("settings.public_url", "http://tokens.example.org"),
        ("settings.vault.approle", {"role_id_file": "/elsewhere"}),
        ("settings.vault.kubernetes", {"mount": "kubernetes"}),
        ("settings.vault.kubernetes", {"role": "credbroker", "token_file": "/elsewhere"}),
        ("settings.vault.addresses", []),
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


def test_what_the_bundled_openbao_decides_is_nobody_elses_to_say() -> None:
    """Addresses, login and mount are its own; certificate and seal must be given."""
    bundled = values_of("bundled-openbao")
    for place, value in {
        "settings.vault.addresses": ["https://elsewhere.example.org"],
        "settings.vault.mount": "elsewhere",
        "settings.vault.approle": {},
        "openbao.existingSecrets.seal": "",
    }.items():
        with pytest.raises(helm_python.HelmValuesError):
            render(changed(bundled, place, value))


def test_a_balancer_that_says_who_calls_must_be_seen_by_its_own_address() -> None:
    """Else its headers would come from any node, and be refused."""
    site = values_of("behind-a-balancer")
    with pytest.raises(helm_python.HelmValuesError):
        render(changed(site, "service.externalTrafficPolicy", "Cluster"))


@each_site
def test_the_notes_say_what_the_site_must_know(site: Document) -> None:
    """Where clients come to, and what this site risks or has yet to do."""
    notes = rendered_texts(site)["credbroker/templates/NOTES.txt"]
    assert "https://tokens.example.org:8200" in notes
    assert f"{workload_of(render(site))['kind'].lower()}/tokens" in notes
    assert ("RISK" in notes) is (site.get("spool") == "none")
    assert ("must listen on 8200" in notes) is ("balancer" in site.get("service", {}))
    assert ("openbao.initialise" in notes) is ("openbao" in site)


def test_the_package_has_all_that_is_rendered_from(tmp_path: Path) -> None:
    """Alerts, dashboard and policy are in it as plain files; the sites for tests are not."""
    helm_python.package(CHART, destination=tmp_path)
    (package,) = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        members = {member.name.removeprefix("credbroker/"): member for member in archive}
    for name in ("openbao-policy.hcl", "rules/credbroker.rules.yaml", "dashboards/credbroker.json"):
        assert members[name].isfile()
    assert "README.md" in members
    assert not any(name.startswith("ci/") for name in members)
