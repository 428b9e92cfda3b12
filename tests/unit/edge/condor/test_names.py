"""Names on disk: whose they are, and whose secret serves them."""

from __future__ import annotations

import pytest

from credbroker.domain.errors import BadSettings
from credbroker.edge.condor.names import (
    Claims,
    Kind,
    check_providers,
    is_on_disk,
    parent,
    split_names,
)


@pytest.mark.parametrize(
    ("name", "elder"),
    [("cms", None), ("cms_ro", "cms"), ("dune_production_ro", "dune_production"), ("_x", None)],
)
def test_the_parent_is_what_stands_before_the_last_underscore(name: str, elder: str | None) -> None:
    """A role may hold no underscore, a handle of this kind neither."""
    assert parent(name) == elder


def test_without_a_list_everything_is_served_that_nobody_else_claims() -> None:
    """Unset and a star are the same; a client's setting is found whatever its case."""
    for vault in (frozenset[str](), frozenset({"*"})):
        claims = Claims(vault=vault, foreign=frozenset({"scitokens"}), clients=frozenset({"BOX"}))
        assert claims.kind("dune_production_ro") is Kind.VAULT
        assert claims.kind("scitokens") is None
        assert claims.kind("box_handle") is None
        assert claims.kind("dune_") is None


def test_a_list_names_providers_and_no_others_are_served() -> None:
    """What stands before the first underscore counts; a name beside a star is served whoever claims it."""
    listed = Claims(vault=frozenset({"dune"}))
    assert listed.kind("dune_production") is Kind.VAULT
    assert listed.kind("cms") is None
    both = Claims(vault=frozenset({"*", "box"}), clients=frozenset({"BOX"}))
    assert both.kind("box") is Kind.VAULT


def test_local_names_and_limits_are_their_own() -> None:
    """A limit from the command line holds for every sort."""
    claims = Claims(local=frozenset({"scitokens"}))
    assert claims.kind("scitokens") is Kind.LOCAL
    limited = Claims(local=frozenset({"scitokens"}), only=frozenset({"cms"}))
    assert limited.kind("scitokens") is None
    assert limited.kind("cms_ro") is Kind.VAULT
    assert limited.kind("dune") is None


def test_whole_names_may_be_providers() -> None:
    """Then there are no handles, and an underscore at the end is nothing special."""
    claims = Claims(vault=frozenset({"my_name_"}), whole_names=True)
    assert claims.kind("my_name_") is Kind.VAULT
    assert claims.kind("my") is None


def test_lists_are_read_as_htcondor_reads_them() -> None:
    """Commas, blanks and line ends stand between names."""
    assert split_names(" a, b\tc,,\n") == {"a", "b", "c"}


def test_a_provider_with_an_underscore_is_refused() -> None:
    """It could never match, so it is a mistake; HTCondor's own credmon says so too."""
    check_providers("X", {"dune-2", "*"}, whole_names=False)
    check_providers("X", {"dune_production"}, whole_names=True)
    with pytest.raises(BadSettings, match="X names 'dune_production'"):
        check_providers("X", {"dune_production"}, whole_names=False)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("alice", True), ("a.b-c+d=e_f", True), ("", False), (".hidden", False), ("a b", False),
     ("a/b", False), ("é", False)],
)  # fmt: skip
def test_names_hold_what_the_credd_allows(name: str, is_one: bool) -> None:
    """Nothing else is a user or a service."""
    assert is_on_disk(name) is is_one
