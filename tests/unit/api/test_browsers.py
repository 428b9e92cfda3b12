"""What browsers bring of their own: cookies that other pages of the site may have set."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from credbroker.api.browsers import PAGE_COOKIE, cookie_of


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("AZaz09_-", "AZaz09_-"),
        ("", ""),
        ("cb_id.secret", ""),
        ("ä", ""),
    ],
)
def test_a_cookie_that_cannot_be_ours_counts_as_none(shown: str, read: str) -> None:
    """Bytes that are no text would else break what follows; a vault token is not sent back."""
    request = make_mocked_request("GET", "/", headers={"Cookie": f"{PAGE_COOKIE}={shown}"})
    assert cookie_of(request, PAGE_COOKIE) == read


def test_no_cookie_at_all_counts_as_none() -> None:
    """As at a first visit."""
    assert cookie_of(make_mocked_request("GET", "/"), PAGE_COOKIE) == ""
