"""The chart's OpenBao, started here from the configuration that it renders.

Names of the cluster become addresses of this machine, folders of the pod become folders of the test,
and a small stand-in says whose a service account's token is, as a cluster does.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import hvac
import requests
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey

from credbroker.demo.openbao import find_binary
from credbroker.host.clock import SystemClock
from tests.integration.chart_world import NAMESPACE, RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from tests.integration.chart_world import Document

NAME = f"{RELEASE}-openbao"
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_LIVE_SECONDS = 600
_START_LIMIT_SECONDS = 30.0
_POLL_SECONDS = 0.1


class ClusterApi:
    """Says whose a service account's token is: a cluster's TokenReview, and nothing else."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256")
        self.accounts: dict[str, tuple[str, str]] = {}

    def token(self, account: str, audience: str) -> str:
        """Return a token of an account, as the cluster projects it into a pod."""
        now = int(SystemClock().now().timestamp())
        place = {
            "namespace": NAMESPACE,
            "serviceaccount": {"name": account, "uid": f"uid-{account}"},
        }
        claims: dict[str, Any] = {
            "iss": "https://kubernetes.default.svc",
            "sub": f"system:serviceaccount:{NAMESPACE}:{account}",
            "aud": [audience],
            "iat": now,
            "exp": now + _LIVE_SECONDS,
            "kubernetes.io": place,
        }
        made: str = jwt.encode({"alg": "ES256"}, claims, self._key)
        self.accounts[made] = (account, audience)
        return made

    def app(self) -> web.Application:
        """Return what serves it."""
        app = web.Application()
        app.add_routes([web.post(_REVIEWS, self.review)])
        return app

    async def review(self, request: web.Request) -> web.Response:
        """Answer one TokenReview."""
        asked = (await request.json())["spec"]
        account, audience = self.accounts.get(asked["token"], ("", ""))
        good = account and audience in asked.get("audiences", [audience])
        user = {"username": f"system:serviceaccount:{NAMESPACE}:{account}", "uid": f"uid-{account}"}
        status = (
            {"authenticated": True, "user": user, "audiences": [audience]}
            if good
            else {"authenticated": False, "error": "nobody's"}
        )
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        return web.json_response({**kind, "status": status}, status=201)


@dataclass
class Node:
    """One node, in a folder of its own."""

    folder: Path
    config: Document
    address: str
    ca_file: Path
    child: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Run it; what it says is in its folder."""
        (self.folder / "raft").mkdir(parents=True, exist_ok=True)
        file = self.folder / "node.json"
        file.write_text(json.dumps(self.config))
        with (self.folder / "said").open("ab") as said:
            self.child = subprocess.Popen(
                [find_binary(), "server", f"-config={file}"],
                stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                env={"HOME": str(self.folder)}, cwd=self.folder, start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        """End it, if it runs."""
        if self.child is not None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
            self.child = None

    def client(self) -> hvac.Client:
        """Return a client of it."""
        return hvac.Client(url=self.address, verify=str(self.ca_file), timeout=5)


@dataclass
class Bundled:
    """All nodes of the OpenBao that one rendering of the chart asks for."""

    documents: dict[str, str]
    folder: Path
    authority: Authority
    ports: list[int]
    cluster_api: str

    def nodes(self) -> list[Node]:
        """Return them; none runs yet."""
        (self.folder / "seal").mkdir(parents=True, exist_ok=True)
        (self.folder / "seal/key").write_bytes(b"k" * 32)
        certificate, key = self.authority.issue("openbao", self.folder)
        return [
            Node(
                self.folder / f"node-{number}",
                self._here(number, str(certificate), str(key)),
                f"https://127.0.0.1:{self.ports[number]}",
                self.authority.ca_file,
            )
            for number in range(len(self.documents))
        ]

    def _here(self, number: int, certificate: str, key: str) -> Document:
        """Return the configuration of one node with this machine's addresses and folders in it."""
        text = self.documents[f"{NAME}-{number}.json"]
        own = self.ports[number]
        places = {
            "0.0.0.0:8200": f"127.0.0.1:{own}",
            "0.0.0.0:8201": f"127.0.0.1:{own + 1}",
            "/openbao/raft": str(self.folder / f"node-{number}/raft"),
            "/openbao/tls/tls.crt": certificate,
            "/openbao/tls/tls.key": key,
            "/openbao/tls/ca.crt": str(self.authority.ca_file),
            "/openbao/seal": str(self.folder / "seal"),
            "https://kubernetes.default.svc": self.cluster_api,
        }
        for other, port in enumerate(self.ports):
            host = f"{NAME}-{other}.{NAME}.{NAMESPACE}.svc"
            places |= {f"{host}:8200": f"127.0.0.1:{port}", f"{host}:8201": f"127.0.0.1:{port + 1}"}
        for there, here in places.items():
            text = text.replace(there, here)
        config: Document = json.loads(text)
        for request in config.get("initialize", [{"broker": {"request": []}}])[0]["broker"][
            "request"
        ]:
            if "cluster" in request:  # what a pod finds among the files of its account
                request["cluster"]["data"] |= {
                    "kubernetes_ca_cert": self.authority.ca_file.read_text(),
                    "disable_local_ca_jwt": True,
                }
        return config


def voters_seen_by(node: Node, operator_token: str) -> set[str]:
    """Return the ids of the nodes that vote, as one node tells its operator; none if it does not."""
    client = node.client()
    try:
        client.auth.kubernetes.login("operator", operator_token)
        told = client.read("sys/storage/raft/configuration")
    except (hvac.exceptions.VaultError, OSError):
        return set()
    assert isinstance(told, dict), "a node answers with an object"
    return {one["node_id"] for one in told["data"]["config"]["servers"] if one["voter"]}


async def until(node: Node, seen: Callable[[Node], bool]) -> bool:
    """Return whether a node comes to be seen so within the time that a start may take."""
    clock = SystemClock()
    end = clock.elapsed() + _START_LIMIT_SECONDS
    while clock.elapsed() < end:
        if await asyncio.to_thread(seen, node):
            return True
        await clock.sleep(_POLL_SECONDS)
    return False


def follows(node: Node) -> bool:
    """True if a node is unsealed and knows another one that leads."""
    try:
        health = requests.get(f"{node.address}/v1/sys/health", verify=str(node.ca_file), timeout=5)
    except OSError:
        return False
    return health.status_code == 429
