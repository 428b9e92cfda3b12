"""What a broker needs in OpenBao/Vault is written down so that the order of making it is right."""

from __future__ import annotations

from credbroker.stores.broker_place import POLICY_NAME, Place, broker_policy, parts


def test_what_is_needed_comes_after_what_it_needs() -> None:
    """The role names the policy and lies in the method; the new engine is asked last."""
    names = [part.name for part in parts(Place())]
    assert names == ["mount", "policy", "approle", "role", "keep"]


def test_every_part_is_for_the_mounts_that_were_named() -> None:
    """In its path and in the policy."""
    place = Place("broker-kv", "machines", ("keys",))
    paths = [part.path for part in parts(place)]
    assert paths == [
        "sys/mounts/broker-kv", "sys/mounts/keys", f"sys/policies/acl/{POLICY_NAME}",
        "sys/auth/machines", "auth/machines/role/credbroker", "broker-kv/config",
    ]  # fmt: skip
    allowed = [one for one in broker_policy("broker-kv", ("keys",)).splitlines() if "path" in one]
    assert all('"broker-kv/' in one or '"auth/token/' in one or '"keys/' in one for one in allowed)


def test_where_a_broker_logs_in_otherwise_no_approle_is_made() -> None:
    """A way in that nobody uses is one too many."""
    assert {part.name for part in parts(Place(approle=None))} == {"mount", "policy", "keep"}


def test_a_role_of_the_brokers_carries_one_policy_and_can_be_renewed() -> None:
    """Without the built-in default policy, and as no batch token."""
    (role,) = [part for part in parts(Place()) if part.name == "role"]
    assert role.body["token_policies"] == [POLICY_NAME]
    assert role.body["token_no_default_policy"] is True
    assert role.body["token_type"] == "service"


def test_a_transit_engine_is_allowed_only_where_one_is_used() -> None:
    """Else its lines stand there as a comment, to be seen by whoever needs them."""
    without, with_two = broker_policy("credbroker"), broker_policy("credbroker", ("one", "two"))
    assert '# path "transit/sign/+"' in without
    assert '\npath "one/sign/+"' in with_two
    assert '\npath "two/keys/+"' in with_two
    assert "transit/" not in with_two


def test_nothing_in_the_policy_deletes_a_grant_or_changes_the_mount() -> None:
    """Neither its records nor what it keeps and demands."""
    lines = broker_policy("credbroker").splitlines()
    assert not [one for one in lines if "/grants/" in one and "delete" in one]
    assert not [one for one in lines if "credbroker/config" in one and "update" in one]
