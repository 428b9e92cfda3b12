"""What stands around the broker's pods: who reaches them, who watches them, where they run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import jsonschema
import yaml

from credbroker.api.grants_pages import GrantsPages
from credbroker.api.login_pages import LoginPages
from tests.integration.chart_world import (
    CHART,
    broker_of,
    changed,
    each_site,
    pod_of,
    pods_in,
    render,
    values_of,
    workload_of,
)

if TYPE_CHECKING:
    from tests.integration.chart_world import Document


@each_site
def test_the_service_finds_the_pods(site: Document) -> None:
    """Whatever selects the broker's pods goes by labels that they have."""
    rendered = render(site)
    labels = workload_of(rendered)["spec"]["template"]["metadata"]["labels"]
    budget = rendered["PodDisruptionBudget"]["spec"]
    spread = pod_of(rendered)["topologySpreadConstraints"]
    for selector in (
        rendered["Service"]["spec"]["selector"],
        workload_of(rendered)["spec"]["selector"]["matchLabels"],
        budget["selector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in spread),
    ):
        assert selector.items() <= labels.items()
    assert budget["maxUnavailable"] == 1
    assert [one["topologyKey"].rpartition("/")[2] for one in spread] == ["hostname", "zone"]


def test_three_replicas_stand_behind_a_load_balancer_with_a_volume_each() -> None:
    """The larger example site comes out as it was meant."""
    rendered = render(values_of("three-replicas"))
    spec = rendered["StatefulSet"]["spec"]
    assert spec["replicas"] == 3
    assert spec["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    assert rendered["Service"]["spec"]["type"] == "LoadBalancer"
    assert rendered["Service"]["spec"]["externalTrafficPolicy"] == "Local"
    assert "@sha256:" in broker_of(rendered)["image"]
    kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["persistentVolumeClaimRetentionPolicy"] == kept


def test_without_volumes_a_deployment_keeps_what_it_must_in_the_pod() -> None:
    """The broker finds the same folder there, and it goes with the pod."""
    rendered = render(values_of("no-volume"))
    assert "StatefulSet" not in rendered
    volumes = {one["name"]: one for one in pod_of(rendered)["volumes"]}
    assert "emptyDir" in volumes["kept"]
    assert {"name": "kept", "mountPath": "/var/log/credbroker"} in broker_of(rendered)[
        "volumeMounts"
    ]


@each_site
def test_clients_meet_8200_whatever_leads_to_it(site: Document) -> None:
    """The Service has that port, and a port of the nodes only with a balancer that is named."""
    service = render(site)["Service"]["spec"]
    (port,) = service["ports"]
    assert port["port"] == 8200
    assert ("nodePort" in port) is (service["type"] == "NodePort")
    assert service["type"] != "NodePort" or site["service"]["balancer"]


def test_a_load_balancer_takes_connections_from_the_named_networks() -> None:
    """Others meet nobody."""
    service = render(values_of("bundled-openbao"))["Service"]["spec"]
    assert service["loadBalancerSourceRanges"] == ["192.0.2.0/24"]


def page_paths() -> set[str]:
    """Return every path at which the broker shows a browser something."""
    whoever: Any = Mock()
    return {route.path for room in (LoginPages, GrantsPages) for route in room.routes(whoever)}


def test_the_ingress_leads_to_the_pages_and_to_nothing_else() -> None:
    """Every path at which a browser is shown something, and no path of the HTVault or the API."""
    rule = render(values_of("behind-a-balancer"))["Ingress"]["spec"]["rules"][0]
    assert rule["host"] == "tokens.example.org"
    paths = {one["path"]: one["pathType"] for one in rule["http"]["paths"]}
    below = tuple(f"{path}/" for path, kind in paths.items() if kind == "Prefix")
    shown = {path.replace("{issuer}", "wlcg") for path in page_paths()}
    assert [path for path in shown if path not in paths and not path.startswith(below)] == []
    assert [
        path for path in paths if not any(f"{one}/".startswith(f"{path}/") for one in shown)
    ] == []
    assert not any(path.startswith(("/api", "/metrics")) for path in paths)
    assert [path for path in paths if path.startswith("/v1")] == [
        "/v1/auth/oidc-wlcg/oidc/callback"
    ]
    backends = [one["backend"]["service"] for one in rule["http"]["paths"]]
    assert all(one == {"name": "tokens", "port": {"name": "https"}} for one in backends)


def test_connections_are_held_to_what_the_values_say_both_ways() -> None:
    """In by the one port, from the named peers; out to names, and to the named ports and peers."""
    values = values_of("behind-a-balancer")
    policy = render(values)["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [
        {"ports": [{"port": "https", "protocol": "TCP"}], "from": values["network"]["from"]}
    ]
    names, others = policy["egress"]
    assert {one["port"] for one in names["ports"]} == {53, 5353}
    assert [one["port"] for one in others["ports"]] == [443, 8200]
    assert others["to"] == values["network"]["to"]
    assert "NetworkPolicy" not in render(values_of("no-volume"))


def test_only_brokers_and_its_own_nodes_reach_the_bundled_openbao() -> None:
    """Each selector is one that the pods of the other side have."""
    rendered = render(values_of("bundled-openbao"))
    labels = {
        name: rendered[name]["spec"]["template"]["metadata"]["labels"]
        for name in ("StatefulSet", "StatefulSet openbao")
    }

    def peers(rules: list[Document], way: str) -> list[list[str]]:
        selectors = [
            one["podSelector"]["matchLabels"] for rule in rules for one in rule.get(way, [])
        ]
        return [
            [name for name, has in labels.items() if selector.items() <= has.items()]
            for selector in selectors
        ]

    policy = rendered["NetworkPolicy openbao"]["spec"]
    assert peers(policy["ingress"], "from") == [["StatefulSet"], ["StatefulSet openbao"]]
    assert peers(policy["egress"], "to") == [["StatefulSet openbao"]]
    assert ["StatefulSet openbao"] in peers(rendered["NetworkPolicy"]["spec"]["egress"], "to")
    assert policy["podSelector"]["matchLabels"].items() <= labels["StatefulSet openbao"].items()


# Of the schemas of Prometheus' operator, what matters here; they are no part of Kubernetes.
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_RULE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["alert", "expr"],
    "properties": {
        "alert": {"type": "string", "pattern": "^[A-Za-z]+$"},
        "expr": {"type": "string", "minLength": 1},
        "for": {"type": "string", "pattern": "^[0-9]+(s|m|h|d)$"},
        "keep_firing_for": {"type": "string"},
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
}
_GROUP = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "rules"],
    "properties": {
        "name": {"type": "string"},
        "interval": {"type": "string"},
        "rules": {"type": "array", "items": _RULE},
    },
}
PROMETHEUS_RULE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["groups"],
    "properties": {"groups": {"type": "array", "minItems": 1, "items": _GROUP}},
}
SERVICE_MONITOR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["selector", "endpoints"],
    "properties": {
        "selector": {"type": "object", "required": ["matchLabels"]},
        "endpoints": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "port": {"type": "string"},
                    "scheme": {"enum": ["https"]},
                    "path": {"type": "string"},
                    "interval": {"type": "string"},
                    "tlsConfig": {"type": "object", "required": ["serverName"]},
                },
            },
        },
    },
}


def test_prometheus_reads_every_broker_and_knows_whom_to_expect() -> None:
    """By the Service's port and the path there is, under the name in the certificate."""
    rendered = render(values_of("bundled-openbao"))
    monitor = rendered["ServiceMonitor"]
    jsonschema.validate(monitor["spec"], SERVICE_MONITOR)
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {one["name"] for one in rendered["Service"]["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
    assert endpoint["tlsConfig"]["serverName"] == "tokens.example.org"
    assert endpoint["tlsConfig"]["ca"]["configMap"]["name"] == "site-authorities"
    matched = monitor["spec"]["selector"]["matchLabels"].items()
    services = {name for name, one in rendered.items() if one["kind"] == "Service"
                if matched <= one["metadata"]["labels"].items()}  # fmt: skip
    assert services == {"Service"}


def test_the_alerts_and_the_dashboard_are_those_of_the_chart_word_for_word() -> None:
    """What their files say reaches the operator and Grafana, braces included."""
    rendered = render(values_of("bundled-openbao"))
    (file,) = CHART.glob("rules/*.yaml")
    rules = rendered["PrometheusRule"]["spec"]
    jsonschema.validate(rules, PROMETHEUS_RULE)
    assert rules == yaml.safe_load(file.read_text())
    dashboard = rendered["ConfigMap dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    files = {file.name: json.loads(file.read_text()) for file in CHART.glob("dashboards/*.json")}
    assert {name: json.loads(text) for name, text in dashboard["data"].items()} == files


def test_nothing_is_told_to_operators_that_may_not_be_there() -> None:
    """Without their kinds the whole installation would be refused."""
    rendered = render(values_of("minimal"))
    assert not {"ServiceMonitor", "PrometheusRule", "ConfigMap dashboard"} & rendered.keys()


def test_pods_go_where_the_values_say() -> None:
    """The same for the broker and for the OpenBao that comes with it."""
    values = changed(values_of("bundled-openbao"), "pod", values_of("three-replicas")["pod"])
    for pod in pods_in(render(values)).values():
        assert pod["nodeSelector"] == {"example.org/pool": "services"}
        assert pod["tolerations"][0]["key"] == "example.org/services"
        assert pod["priorityClassName"] == "services"
