"""Names are checked, and what reaches a path is a hash of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.names import GrantKey, check_credkey, check_short_name

parts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.builds(GrantKey, parts, parts, parts)


@given(keys, keys)
def test_a_grants_place_is_one_segment_and_its_own(one: GrantKey, two: GrantKey) -> None:
    """Incident 26: no `*`, `+`, `/` or dots of anybody's reach a path or a policy match."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", one.segment())
    assert (one.segment() == two.segment()) is (one == two)


def test_names_do_not_run_into_each_other() -> None:
    """Each is length-prefixed."""
    places = {
        GrantKey(*names).segment()
        for names in [("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd")]
    }
    assert len(places) == 3


def test_a_grants_place_never_moves() -> None:
    """A change would leave every stored grant behind."""
    assert (
        GrantKey("egi", "ada", "default").segment() == "_nWc2c4FAD74uc_V0uMNzPQkL5MURL3zfGv1m6DKUQI"
    )


@pytest.mark.parametrize("name", ["", "-a", ".a", "a/b", "a b", "a\n", "x" * 65, "é", "a*"])
def test_a_short_name_is_plain(name: str) -> None:
    """Letters, digits, dots, dashes, underscores."""
    with pytest.raises(Malformed, match="role"):
        check_short_name("role", name)


@pytest.mark.parametrize("name", ["a", "egi-prod_2.x", "x" * 64])
def test_a_plain_short_name_is_kept(name: str) -> None:
    """As written."""
    assert check_short_name("role", name) == name


@pytest.mark.parametrize("credkey", ["", "a\nb", "a\x00", "x" * 256, "\ud800"])
def test_an_identity_key_can_be_shown(credkey: str) -> None:
    """Half characters and control codes are refused."""
    with pytest.raises(Malformed):
        check_credkey(credkey)


@pytest.mark.parametrize("credkey", ["user/purpose/host.test", "ada@cern.ch", "Zoë Ñ", "*"])
def test_any_printable_identity_key_is_kept(credkey: str) -> None:
    """Robots are named with slashes; that the place is a hash makes it harmless."""
    assert check_credkey(credkey) == credkey
