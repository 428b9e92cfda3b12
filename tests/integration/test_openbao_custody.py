"""What the broker's login can and cannot do to the grants in a real OpenBao."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

from credbroker.stores.broker_place import POLICY_NAME
from tests.fixtures_openbao import admin_hvac

if TYPE_CHECKING:
    import hvac

    from credbroker.demo.openbao import OpenBaoServer
    from tests.fixtures_openbao import OpenBaoFactory


@pytest.fixture(scope="module")
def broker(shared_openbao: OpenBaoServer) -> hvac.Client:
    """A client that has logged in as the broker does."""
    return shared_openbao.broker_client()


@pytest.fixture(scope="module")
def admin(shared_openbao: OpenBaoServer) -> hvac.Client:
    """A client that may look at everything."""
    return admin_hvac(shared_openbao)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A record's name that no other test uses."""
    return hashlib.sha256(request.node.name.encode()).hexdigest()


@pytest.fixture
def grant(broker: hvac.Client, name: str) -> str:
    """The path of a grant that holds generation 1."""
    path = f"grants/{name}"
    write(broker, path, generation=1, cas=0)
    return path


def write(client: hvac.Client, path: str, *, generation: int, cas: int | None) -> None:
    """Write a record, by check-and-set unless `cas` is None."""
    client.secrets.kv.v2.create_or_update_secret(
        path, {"generation": generation}, cas=cas, mount_point="credbroker"
    )


def read(client: hvac.Client, path: str, version: int | None = None) -> dict[str, Any]:
    """Return a record, or one old version of it."""
    answer = client.secrets.kv.v2.read_secret_version(
        path, version=version, mount_point="credbroker", raise_on_deleted_version=True
    )
    content: dict[str, Any] = answer["data"]["data"]
    return content


def call(client: hvac.Client, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    """Make one bare request under the server's `/v1/`."""
    headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else None
    client.adapter.request(method, f"/v1/{path}", json=body, headers=headers)


# History


@pytest.mark.parametrize("version", [1, 2])
def test_an_overwritten_refresh_token_is_readable_by_nobody(
    broker: hvac.Client, admin: hvac.Client, grant: str, version: int
) -> None:
    """After three writes the first two versions are gone, for the administrator too."""
    write(broker, grant, generation=2, cas=1)
    write(broker, grant, generation=3, cas=2)
    for client in (broker, admin):
        with pytest.raises(InvalidPath):
            read(client, grant, version)
    assert read(broker, grant) == {"generation": 3}


def test_only_the_newest_version_is_kept(broker: hvac.Client, grant: str) -> None:
    """The record's metadata lists one version, and the broker may read that it does."""
    write(broker, grant, generation=2, cas=1)
    metadata = broker.secrets.kv.v2.read_secret_metadata(grant, mount_point="credbroker")["data"]
    assert list(metadata["versions"]) == ["2"]


def test_the_broker_can_check_what_the_mount_keeps_and_demands(broker: hvac.Client) -> None:
    """The mount's settings are readable: one version, check-and-set always."""
    kept = broker.secrets.kv.v2.read_configuration(mount_point="credbroker")["data"]
    assert kept["max_versions"] == 1
    assert kept["cas_required"] is True


# Check-and-set


def test_a_write_without_check_and_set_is_refused(broker: hvac.Client, grant: str) -> None:
    """The mount demands it, so no program can forget it."""
    with pytest.raises(InvalidRequest, match="check-and-set parameter required"):
        write(broker, grant, generation=2, cas=None)
    assert read(broker, grant) == {"generation": 1}


@pytest.mark.parametrize("stale", [0, 1, 2])
def test_a_paused_writer_cannot_hit_the_next_persons_record(
    broker: hvac.Client, grant: str, stale: int
) -> None:
    """After a tombstone and a new login every older check-and-set is refused."""
    write(broker, grant, generation=0, cas=1)
    write(broker, grant, generation=1, cas=2)
    with pytest.raises(InvalidRequest, match="check-and-set parameter did not match"):
        write(broker, grant, generation=99, cas=stale)
    assert read(broker, grant) == {"generation": 1}


def test_one_of_two_writers_wins(shared_openbao: OpenBaoServer, grant: str) -> None:
    """Two logins of the broker write from the same version; the second is told so."""
    first, second = shared_openbao.broker_client(), shared_openbao.broker_client()
    write(first, grant, generation=2, cas=1)
    with pytest.raises(InvalidRequest, match="check-and-set parameter did not match"):
        write(second, grant, generation=3, cas=1)
    assert read(second, grant) == {"generation": 2}


# What the broker may not do

DESTRUCTION = [
    ("DELETE", "data/{}", None),
    ("PATCH", "data/{}", {"data": {"generation": 9}, "options": {"cas": 1}}),
    ("POST", "delete/{}", {"versions": [1]}),
    ("POST", "undelete/{}", {"versions": [1]}),
    ("POST", "destroy/{}", {"versions": [1]}),
    ("PUT", "destroy/{}", {"versions": [1]}),
    ("DELETE", "metadata/{}", None),
    ("POST", "metadata/{}", {"max_versions": 10}),
    ("POST", "metadata/{}", {"cas_required": False}),
    ("PATCH", "metadata/{}", {"max_versions": 10}),
    ("POST", "config", {"max_versions": 10}),
    ("POST", "config", {"cas_required": False}),
]


@pytest.mark.parametrize(("method", "path", "body"), DESTRUCTION)
def test_a_grant_is_neither_deleted_nor_loosened(
    broker: hvac.Client, grant: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Each request is forbidden, and the grant is as it was."""
    with pytest.raises(Forbidden):
        call(broker, method, f"credbroker/{path.format(grant)}", body)
    assert read(broker, grant) == {"generation": 1}


ELSEWHERE = [
    ("GET", "elsewhere/data/grants/x", None),
    ("POST", "elsewhere/data/grants/x", {"data": {"a": "b"}, "options": {"cas": 0}}),
    ("LIST", "elsewhere/metadata/grants", None),
    ("POST", "credbroker/data/other/x", {"data": {"a": "b"}, "options": {"cas": 0}}),
    ("GET", "credbroker/data/other/x", None),
    ("LIST", "credbroker/metadata", None),
    ("SCAN", "credbroker/metadata/grants", None),
    ("GET", "credbroker/subkeys/grants/x", None),
    ("GET", "cubbyhole/x", None),
    ("GET", "sys/mounts", None),
    ("POST", "sys/mounts/mine", {"type": "kv"}),
    ("GET", "sys/policies/acl/credbroker-broker", None),
    ("POST", "sys/policies/acl/credbroker-broker", {"policy": 'path "*" {}'}),
    ("POST", "sys/capabilities-self", {"paths": ["sys/mounts"]}),
    ("GET", "sys/storage/raft/snapshot", None),
    ("LIST", "identity/entity/id", None),
    ("POST", "identity/entity", {"name": "x", "policies": ["admin"]}),
    ("POST", "auth/token/create", {}),
    ("GET", "auth/approle/role/credbroker", None),
    ("POST", "auth/approle/role/credbroker/secret-id", {}),
    ("POST", "auth/userpass/users/admin/password", {"password": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ELSEWHERE)
def test_nothing_outside_the_brokers_records_is_reached(
    broker: hvac.Client, elsewhere: None, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Other mounts, the system, identities and logins are forbidden."""
    with pytest.raises(Forbidden):
        call(broker, method, path, body)


@pytest.fixture(scope="module")
def elsewhere(admin: hvac.Client) -> None:
    """Another KV mount, with a record of a grant's name."""
    mount_elsewhere(admin)


@pytest.mark.slow
def test_the_refused_requests_are_real_ones(openbao: OpenBaoServer) -> None:
    """The administrator is forbidden none of them, so it is the broker's policy that refuses."""
    admin = admin_hvac(openbao)
    mount_elsewhere(admin)
    write(admin, "grants/g", generation=1, cas=0)
    within = [(method, "credbroker/" + path, body) for method, path, body in DESTRUCTION]
    for method, path, body in within + ELSEWHERE:
        with contextlib.suppress(InvalidPath, InvalidRequest):
            call(admin, method, path.format("grants/g"), body)


def mount_elsewhere(admin: hvac.Client) -> None:
    """Mount a KV engine at "elsewhere" and write one record into it."""
    admin.sys.enable_secrets_engine("kv", path="elsewhere", options={"version": "1"})
    call(admin, "POST", "elsewhere/data/grants/x", {"a": "b"})


def test_the_brokers_login_has_the_brokers_policy_alone(broker: hvac.Client) -> None:
    """Not even the built-in default policy comes with it."""
    login = broker.auth.token.lookup_self()["data"]
    assert login["policies"] == [POLICY_NAME]
    assert not login.get("identity_policies")


def test_a_stranger_reads_nothing(shared_openbao: OpenBaoServer, grant: str) -> None:
    """Without a login a grant is forbidden."""
    with pytest.raises(Forbidden):
        read(shared_openbao.client(), grant)


def test_half_a_login_is_no_login(shared_openbao: OpenBaoServer) -> None:
    """The role's id without the right secret id is refused."""
    with pytest.raises(InvalidRequest):
        shared_openbao.client().auth.approle.login(
            shared_openbao.role_id_file.read_text(), "not-the-secret-id"
        )


# What the broker needs to do


def test_grants_are_listed(broker: hvac.Client, name: str, grant: str) -> None:
    """The keeper finds every grant by name."""
    listed = broker.secrets.kv.v2.list_secrets("grants", mount_point="credbroker")
    assert name in listed["data"]["keys"]


@pytest.mark.parametrize("room", ["leases", "logins"])
def test_what_has_ended_is_listed_and_cleared_away(
    broker: hvac.Client, admin: hvac.Client, name: str, room: str
) -> None:
    """A lease or a login is removed whole, its metadata with it."""
    path = f"{room}/{name}"
    write(broker, path, generation=1, cas=0)
    listed = broker.secrets.kv.v2.list_secrets(room, mount_point="credbroker")
    assert name in listed["data"]["keys"]
    broker.secrets.kv.v2.delete_metadata_and_all_versions(path, mount_point="credbroker")
    with pytest.raises(InvalidPath):
        admin.secrets.kv.v2.read_secret_metadata(path, mount_point="credbroker")


def test_the_broker_renews_and_ends_its_own_login(shared_openbao: OpenBaoServer) -> None:
    """A login is extended, given back, and good for nothing afterwards."""
    broker = shared_openbao.broker_client()
    assert broker.auth.token.renew_self()["auth"]["lease_duration"] == 3600
    broker.auth.token.revoke_self()
    with pytest.raises(Forbidden):
        broker.auth.token.lookup_self()


@pytest.mark.slow
def test_a_login_can_be_made_short(openbao_factory: OpenBaoFactory) -> None:
    """Tests of expiry choose the seconds a login lasts."""
    server = openbao_factory(token_ttl_seconds=7, token_max_ttl_seconds=9)
    login = server.broker_client().auth.token.lookup_self()["data"]
    assert login["creation_ttl"] == 7


# What survives and what shows


@pytest.mark.slow
def test_a_stored_grant_survives_a_crash_of_the_server(openbao: OpenBaoServer) -> None:
    """What was acknowledged before a SIGKILL is read back after it, and check-and-set goes on."""
    before = openbao.broker_client()
    write(before, "grants/g", generation=1, cas=0)
    write(before, "grants/g", generation=2, cas=1)
    openbao.kill()
    openbao.restart()
    after = openbao.broker_client()
    assert read(after, "grants/g") == {"generation": 2}
    write(after, "grants/g", generation=3, cas=2)


def test_no_secret_is_in_the_servers_logs(openbao: OpenBaoServer) -> None:
    """The audit file names the record and never shows what is in it, nor the broker's login."""
    secret = "a-refresh-token-nobody-may-see"
    broker = openbao.broker_client()
    broker.secrets.kv.v2.create_or_update_secret(
        "grants/audited", {"refresh_token": secret}, cas=0, mount_point="credbroker"
    )
    broker.secrets.kv.v2.read_secret_version(
        "grants/audited", mount_point="credbroker", raise_on_deleted_version=True
    )
    said = openbao.audit_file.read_text() + openbao.log_file.read_text()
    assert "credbroker/data/grants/audited" in said
    assert secret not in said
    assert openbao.secret_id_file.read_text() not in said
    assert broker.token not in said
