"""The OpenBao that comes with the chart, run for real: it sets itself up for the broker's account."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp.test_utils import TestServer

from credbroker.building import open_vault
from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private
from credbroker.domain.errors import StoreMisconfigured
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.stores.records import grant_records
from tests.integration.chart_world import CHART, RELEASE, changed, render, settings_in, values_of
from tests.integration.openbao_nodes import (
    NAME,
    Bundled,
    ClusterApi,
    Node,
    follows,
    until,
    voters_seen_by,
)
from tests.unit.things import grant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from credbroker.config.schema import Vault
    from credbroker.demo.certificates import Authority

AUDIENCE = "openbao"
SEGMENT = "s" * 43


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[ClusterApi, str]]:
    """The cluster's word on accounts, and where it is asked."""
    api = ClusterApi()
    async with TestServer(api.app()) as server:
        yield api, str(server.make_url("")).rstrip("/")


def bundled(replicas: int, folder: Path, authority: Authority, api: str, **more: object) -> Bundled:
    """Return what the chart makes of the example site with so many nodes."""
    values = changed(values_of("bundled-openbao"), "openbao.replicas", replicas)
    for key, value in more.items():
        values = changed(values, f"openbao.{key}", value)
    documents = render(values)["ConfigMap openbao"]["data"]
    first = free_port(SystemEntropy(), width=2 * replicas)  # each node takes the next one, too
    ports = [first + 2 * number for number in range(replicas)]
    return Bundled(documents, folder, authority, ports, api)


def vault_of(nodes: list[Node], folder: Path, account_token: str) -> Vault:
    """Return the settings that the chart renders for the broker, with this machine's places in them."""
    folder.mkdir()
    rendered = settings_in(render(values_of("bundled-openbao")), folder).vault
    token_file = folder / "token"
    write_private(token_file, account_token.encode())
    assert rendered.kubernetes is not None
    return msgspec.structs.replace(
        rendered,
        addresses=[node.address for node in nodes],
        ca_file=nodes[0].ca_file,
        kubernetes=msgspec.structs.replace(rendered.kubernetes, token_file=token_file),
    )


@pytest.mark.slow
@pytest.mark.timeout(180)  # a new node may vote after ten seconds only
async def test_three_nodes_set_themselves_up_and_know_the_broker_by_its_account(
    cluster: tuple[ClusterApi, str], authority: Authority, tmp_path: Path
) -> None:
    """No secret is handed over; nobody else's account gets in; a node that lost all joins again.

    Node 0 comes to its own new mount too early once, as may happen on a busy machine.
    """
    api, where = cluster
    made = bundled(3, tmp_path, authority, where)
    nodes = made.nodes()
    requests = first_requests(nodes[0].config)
    requests.insert(0, {"too-early": next(iter(requests[-2].values()))})
    operator = api.token("operator", AUDIENCE)
    with contextlib.ExitStack() as running:
        for node in nodes:
            node.start()
            running.callback(node.stop)
        ids = {f"{NAME}-{number}" for number in range(3)}
        assert await until(nodes[0], lambda node: voters_seen_by(node, operator) == ids)
        async with contextlib.AsyncExitStack() as opened:
            account = api.token(RELEASE, AUDIENCE)
            settings = vault_of(nodes, tmp_path / "broker", account)
            broker = await open_vault(settings, SystemClock(), SystemEntropy(), opened)
            assert await grant_records(broker, "credbroker").put(SEGMENT, grant(), 0) == 1
            for name, token in {
                "other account": api.token("other", AUDIENCE),
                "other audience": api.token(RELEASE, "elsewhere"),
            }.items():
                stranger = vault_of(nodes, tmp_path / name, token)
                with pytest.raises(StoreMisconfigured, match="Kubernetes login"):
                    await open_vault(stranger, SystemClock(), SystemEntropy(), opened)
            await asyncio.to_thread(lose_everything, nodes[0])
            nodes[0].start()
            assert await until(nodes[0], follows)
            assert (await grant_records(broker, "credbroker").get(SEGMENT)) is not None


def config_of_node_0() -> dict[str, Any]:
    """Return what the chart tells the node that begins the cluster."""
    rendered = render(values_of("bundled-openbao"))["ConfigMap openbao"]["data"]
    config: dict[str, Any] = json.loads(rendered[f"{NAME}-0.json"])
    return config


def first_requests(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a node asks itself at its first start, in order."""
    (block,) = config["initialize"]
    requests: list[dict[str, Any]] = block["broker"]["request"]
    return requests


def lose_everything(node: Node) -> None:
    """Take away a node's volume; `openbao.initialise` was set to false meanwhile."""
    node.stop()
    shutil.rmtree(node.folder / "raft")
    node.config.pop("initialize")


def test_only_the_first_node_begins_a_cluster_and_only_while_it_is_told_to() -> None:
    """Two that did would be two clusters, with half of the logins in each."""
    values = values_of("bundled-openbao")
    nodes = render(values)["ConfigMap openbao"]["data"]
    assert [name for name, text in nodes.items() if '"initialize"' in text] == [f"{NAME}-0.json"]
    later = render(changed(values, "openbao.initialise", False))["ConfigMap openbao"]["data"]
    assert not any('"initialize"' in text for text in later.values())


def test_the_mount_is_told_what_to_keep_several_times_and_the_last_must_do() -> None:
    """A new mount refuses requests at first, and a set-up that failed is never tried again."""
    tries = [
        said
        for request in first_requests(config_of_node_0())[-8:]
        for name, said in request.items()
        if name.startswith("keep")
    ]
    assert [one.pop("allow_failure") for one in tries] == [True] * 7 + [False]
    assert tries == [
        {
            "operation": "update",
            "path": "credbroker/config",
            "data": {"max_versions": 1, "cas_required": True},
        }
    ] * len(tries)


def test_the_policy_is_the_one_that_the_manual_names() -> None:
    """Not a copy that could fall behind."""
    (policy,) = [
        request["broker-policy"]["data"]["policy"]
        for request in first_requests(config_of_node_0())
        if "broker-policy" in request
    ]
    assert policy == (CHART.parents[1] / "docs" / "openbao-policy.hcl").read_text()


def test_the_broker_asks_every_node_that_there_is(tmp_path: Path) -> None:
    """Under the names that the nodes have, by the authority that signed them, by its account."""
    rendered = render(values_of("bundled-openbao"))
    vault = settings_in(rendered, tmp_path).vault
    hosts = [f"https://{NAME}-{number}.{NAME}.grid.svc:8200" for number in range(3)]
    assert vault.addresses == hosts
    assert str(vault.ca_file) == "/etc/credbroker/openbao/ca.crt"
    assert vault.approle is None
    assert vault.kubernetes is not None
    assert vault.kubernetes.role == "credbroker"
    config = "".join(rendered["ConfigMap openbao"]["data"].values())
    assert all(f'"api_addr": "{host}"' in config for host in hosts)


def test_each_node_reads_its_own_configuration() -> None:
    """By the name of its pod, which is that of its file and of its address."""
    rendered = render(values_of("bundled-openbao"))
    spec = rendered["StatefulSet openbao"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert container["command"][-1] == "-config=/openbao/config/$(POD_NAME).json"
    names = [f"{rendered['StatefulSet openbao']['metadata']['name']}-{n}.json" for n in range(3)]
    assert list(rendered["ConfigMap openbao"]["data"]) == names
    service = rendered["Service openbao"]
    assert spec["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["publishNotReadyAddresses"] is True
