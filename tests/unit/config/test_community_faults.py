"""Settings of a community that would refuse, widen or hide something are named by file and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credbroker.config.community_faults import RESERVED
from credbroker.config.load import load, secret_files
from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import BadSettings
from tests.unit.config.place import right, write

if TYPE_CHECKING:
    from pathlib import Path

HASH = "0" * 64


def service(**changes: Any) -> dict[str, Any]:
    """Return the settings of a client."""
    return {
        "secret_sha256": HASH, "scopes": ["storage.read:/"], "audiences": ["https://se.test"],
    } | changes  # fmt: skip


def community(**changes: Any) -> dict[str, Any]:
    """Return the settings of a community with one client."""
    return {"url": "https://broker.test:8200/dteam/", "clients": {"rucio": service()}} | changes


def fault(folder: Path, others: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return what is wrong with settings that have this community."""
    tree = right(folder) | {"communities": {"dteam": community(**changes), **(others or {})}}
    with pytest.raises(BadSettings) as error:
        load(write(folder, a=tree))
    return error.value.sentence.partition("a.yaml: ")[2]


def test_keys_that_are_made_faster_than_they_are_announced_are_refused(tmp_path: Path) -> None:
    """They would pile up, each published for the week that its longest token lives."""
    keys = {"announce_seconds": 7200, "use_seconds": 7199}
    assert fault(tmp_path, keys=keys) == (
        "communities.dteam.keys.use_seconds: a key must sign for as long as it is announced, at least."
    )
    right_keys = community(keys={"announce_seconds": 7200, "use_seconds": 7200})
    load(write(tmp_path, a=right(tmp_path) | {"communities": {"dteam": right_keys}}))


def test_keys_that_never_end_are_refused(tmp_path: Path) -> None:
    """WLCG token profile 1.3: a key signs for 12 months at the most; no calendar has every moment."""
    assert fault(tmp_path, keys={"use_seconds": 1e12}).startswith(
        "communities.dteam.keys.use_seconds"
    )


def test_a_right_community_is_read(tmp_path: Path) -> None:
    """With clients whose secrets lie in files, patterns, and rows of the table."""
    file = tmp_path / "rucio-secret"
    file.write_text("opensesame")
    file.chmod(0o600)
    fts = service(
        secret_file=str(file), secret_sha256=None, audiences=["https://*.example.org"],
        grants=["token_exchange", "refresh_token"], exchanges_for=["rucio"], rotates=True,
        default_audiences=["https://fts.example.org"], default_scopes=["storage.read:/a"],
    )  # fmt: skip
    clients = {"fts": fts, "host:ce.test": service()}
    rights = str(tmp_path / "rights.d")
    dteam = community(lifetimes={"read": 7200}, clients=clients, rights_folder=rights)
    ops = community(url="https://broker.test:8200/ops/")
    tree = right(tmp_path) | {"communities": {"dteam": dteam, "ops": ops}}
    tree["issuers"]["cms"]["signed_by"] = "dteam"
    read = load(write(tmp_path, a=tree))
    assert list(read.communities) == ["dteam", "ops"]
    assert ("client secret", file) in secret_files(read)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://broker.test:8200/dteam", "this must end with a slash"),
        ("https://broker.test:8200/", "this needs a path of its own"),
        ("https://broker.test:8200//dteam/", "this needs a path of its own"),
        ("https://broker.test:8200/a/../b/", "this needs a path of its own"),
        ("https://broker.test:8200/v1/", "the broker itself serves"),
        ("http://broker.test:8200/dteam/", "only https is allowed"),
        ("https://broker.test:8200/dteam/?a=b/", "without query"),
    ],
)
def test_an_address_that_cannot_be_an_issuers_is_refused(
    tmp_path: Path, url: str, why: str
) -> None:
    """It stands in every token, byte for byte."""
    found = fault(tmp_path, url=url)
    assert found.startswith("communities.dteam.url: ")
    assert why in found


@pytest.mark.parametrize("path", ["dteam/", "dteam/prod/"])
def test_two_communities_lie_beside_each_other(tmp_path: Path, path: str) -> None:
    """One below the other would take its paths."""
    ops = community(url=f"https://other.test:8200/{path}")
    found = fault(tmp_path, {"ops": ops})
    assert "where the community" in found


def test_what_the_broker_serves_is_reserved() -> None:
    """Each first part of a path that is not a community's."""
    assert {"v1", "api", "login", "mine", ".well-known", "livez", "metrics"} <= RESERVED


@pytest.mark.parametrize(
    ("changes", "at", "why"),
    [
        ({"secret_sha256": None}, "", "either secret_file or secret_sha256"),
        ({"secret_file": "/x"}, "", "either secret_file or secret_sha256"),
        ({"scopes": ["storage.read"]}, ".scopes[0]", "needs a path"),
        ({"scopes": ["fts", "storage.read:/a+b"]}, ".scopes[1]", "character +"),
        ({"audiences": []}, ".audiences", "at least one"),
        ({"audiences": ["https://se.test/*"]}, ".audiences[0]", "host's name"),
        ({"default_audiences": ["https://x"]}, ".default_audiences[0]", "not one of"),
        (
            {"default_audiences": ["a b"], "audiences": [ANY_AUDIENCE]},
            ".default_audiences[0]",
            "ASCII",
        ),
        ({"audiences": ["*"]}, ".audiences[0]", "last part"),
        ({"audiences": ["https://SE*.test"]}, ".audiences[0]", "lower case"),
        ({"longest_seconds": 0.5}, ".longest_seconds", ">= 1"),
        ({"longest_seconds": float("inf")}, ".longest_seconds", "<= 2592000"),
        ({"longest_seconds": float("nan")}, ".longest_seconds", ">= 1"),
        ({"offline_seconds": 0.5}, ".offline_seconds", ">= 1"),
        ({"offline_seconds": 200 * 86400}, ".offline_seconds", "<= 15811200"),
        ({"default_scopes": ["fts"]}, ".default_scopes", "not within the client's scopes: fts"),
        ({"default_scopes": ["storage.read"]}, ".default_scopes[0]", "needs a path"),
        ({"exchanges_for": ["rucio"]}, ".exchanges_for", "token_exchange"),
        ({"rotates": True}, ".rotates", "refresh_token"),
    ],
)
def test_a_wrong_line_of_a_client_is_named(
    tmp_path: Path, changes: dict[str, Any], at: str, why: str
) -> None:
    """By its key."""
    found = fault(tmp_path, clients={"rucio": service(**changes)})
    assert found.startswith(f"communities.dteam.clients.rucio{at}: ")
    assert why in found


@pytest.mark.parametrize(
    ("changes", "at", "why"),
    [
        ({"lifetimes": {"write": 60}}, "lifetimes", "there is no row 'write'"),
        ({"audiences": {"https://*.test": {"algorithm": "ES256"}}}, "audiences", "settings only"),
        ({"bridge": {"upstream": "atlas", "audiences": ["a"]}}, "bridge.upstream", "no issuer"),
        ({"bridge": {"upstream": "cms", "audiences": ["a b"]}}, "bridge.audiences[0]", "ASCII"),
        ({"clients": {"a b": service()}}, "clients.a b", "255"),
    ],
)
def test_a_wrong_line_of_a_community_is_named(
    tmp_path: Path, changes: dict[str, Any], at: str, why: str
) -> None:
    """By its key."""
    found = fault(tmp_path, **changes)
    assert found.startswith(f"communities.dteam.{at}: ")
    assert why in found


def test_a_community_that_is_not_there_signs_for_nobody(tmp_path: Path) -> None:
    """An issuer names one of the settings."""
    tree = right(tmp_path)
    tree["issuers"]["cms"]["signed_by"] = "dteam"
    with pytest.raises(BadSettings, match=r"issuers\.cms\.signed_by: no community"):
        load(write(tmp_path, a=tree))


@pytest.mark.parametrize("how", ["signed_by", "bridge"])
def test_people_are_of_one_community(tmp_path: Path, how: str) -> None:
    """In an outage as always: another one's tokens are not what their storage trusts."""
    bridge = {"upstream": "cms", "audiences": ["https://se.test"]}
    tree = right(tmp_path)
    first = community(rights_folder="/etc/rights.d")
    if how == "signed_by":
        tree["issuers"]["cms"]["signed_by"] = "dteam"
    else:
        first["bridge"] = bridge
    other = community(url="https://broker.test:8200/ops/", bridge=bridge)
    tree["communities"] = {"dteam": first, "ops": other}
    with pytest.raises(BadSettings, match=r"ops\.bridge\.upstream: the community dteam signs"):
        load(write(tmp_path, a=tree))


@pytest.mark.parametrize("how", ["signed_by", "bridge"])
def test_no_service_has_the_client_id_that_stands_in_peoples_tokens(
    tmp_path: Path, how: str
) -> None:
    """It could exchange all of them as its own, and revoke them."""
    tree = right(tmp_path)
    dteam = community(clients={"broker": service()}, rights_folder=str(tmp_path))
    if how == "bridge":
        dteam["bridge"] = {"upstream": "cms", "audiences": ["https://se.test"]}
    else:
        tree["issuers"]["cms"]["signed_by"] = "dteam"
    with pytest.raises(BadSettings, match=r"communities\.dteam\.clients\.broker: .*cms"):
        load(write(tmp_path, a=tree | {"communities": {"dteam": dteam}}))


def test_a_community_has_a_short_name(tmp_path: Path) -> None:
    """It stands before clients' ids where operators name them."""
    found = fault(tmp_path, {"a/b": community(url="https://broker.test:8200/ab/")})
    assert found.startswith("communities.a/b: ")
