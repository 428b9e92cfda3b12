"""What a stored request says."""

from __future__ import annotations

import pytest

from credbroker.domain.errors import Malformed
from credbroker.edge.condor.top_file import read_top
from tests.unit.edge.condor.scene import URL


def test_a_narrowed_request_is_read_as_the_credd_writes_it() -> None:
    """Several lines, a comma between scopes, a line end; blanks after commas are nothing."""
    top = read_top(
        b'{\n "audience": "https://dav",\n "scopes": "a, b,a",\n "vault_url": "%s"\n}\n'
        % URL.encode()
    )
    assert top.vault_url == URL
    assert top.vault_token is None
    assert top.scopes == ("a", "b")
    assert top.audiences == ("https://dav",)
    assert not top.is_lease


def test_a_lease_of_a_credbroker_is_told_by_its_beginning() -> None:
    """Any other vault token is an HTVault's."""
    for token, is_lease in (("cb_abc", True), ("hvs.cb_", False)):
        content = f'{{"vault_url": "{URL}", "vault_token": "{token}"}}'.encode()
        assert read_top(content).is_lease is is_lease


@pytest.mark.parametrize("token", ["", "a b", "a\\nb", "\\u00e9", "x" * 5000])
def test_a_token_that_can_be_none_is_not_quoted(token: str) -> None:
    """It would go into a header."""
    content = f'{{"vault_url": "{URL}", "vault_token": "{token}"}}'.encode()
    with pytest.raises(Malformed) as refused:
        read_top(content)
    assert not token or token not in refused.value.sentence
