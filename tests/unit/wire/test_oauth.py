"""Forms are read as services write them, and answers say what the standards want and no more."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.oauth import MOST_PARAMETERS, Form, basic_login, write_granted, write_refused
from tests.fakes.granting import granted

FTS_EXCHANGE = (
    b"grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
    b"&requested_token_type=urn:ietf:params:oauth:token-type:refresh_token"
    b"&subject_token_type=urn:ietf:params:oauth:token-type:access_token"
    b"&subject_token=abc.def.ghi"
    b"&scope=storage.read:/a/b storage.modify:/c offline_access"
    b"&audience=https://one.example.org https://two.example.org:8443"
)


def test_what_fts_sends_without_encoding_is_read() -> None:
    """Raw spaces, colons and slashes, as its token daemon writes them."""
    form = Form.read(FTS_EXCHANGE)
    assert form.get("scope") == "storage.read:/a/b storage.modify:/c offline_access"
    assert form.audiences == ("https://one.example.org", "https://two.example.org:8443")
    assert form.needed("subject_token_type").endswith(":access_token")


def test_a_form_as_the_standard_has_it_is_read() -> None:
    """Percent-encoding, and `+` for a space (RFC 6749 appendix B)."""
    form = Form.read(b"scope=storage.read%3A%2Fa+openid&client_secret=a%2Bb%25c%C3%BC")
    assert form.get("scope") == "storage.read:/a openid"
    assert form.get("client_secret") == "a+b%c\N{LATIN SMALL LETTER U WITH DIAERESIS}"


def test_audiences_come_by_all_their_names_each_once_and_in_order() -> None:
    """Repeated (RFC 8693 2.1), apart by spaces, as `resource` (RFC 8707) or as `aud`."""
    form = Form.read(b"audience=b&audience=a+c&resource=https://d&aud=a&audience=")
    assert form.audiences == ("b", "a", "c", "https://d")


def test_a_parameter_without_a_value_counts_as_left_out() -> None:
    """RFC 6749 section 3.2; PanDA sends an empty scope."""
    form = Form.read(b"scope=&grant_type=client_credentials&scope=a")
    assert form.get("scope") == "a"
    assert Form.read(b"scope=").get("scope") is None


@pytest.mark.parametrize("name", ["scope", "client_id", "grant_type", "something_unknown"])
def test_no_parameter_may_come_twice(name: str) -> None:
    """RFC 6749 section 3.2: two readers could see two different values."""
    with pytest.raises(Malformed, match="twice"):
        Form.read(f"{name}=a&{name}=b".encode())


@pytest.mark.parametrize("body", [b"\xff=a", b"a=%ff", b"&".join([b"a=b"] * (MOST_PARAMETERS + 1))])
def test_what_is_no_form_is_refused(body: bytes) -> None:
    """Bytes that are no UTF-8, raw or encoded, and parameters without end."""
    with pytest.raises(Malformed):
        Form.read(body)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_form_or_refused(body: bytes) -> None:
    """It is never anything else that goes wrong."""
    with contextlib.suppress(Malformed):
        Form.read(body)


def test_a_missing_parameter_is_named() -> None:
    """It is one of ours: nothing is repeated."""
    with pytest.raises(Malformed, match="subject_token is missing"):
        Form.read(b"").needed("subject_token")


def test_a_form_does_not_show_itself() -> None:
    """There are secrets in it."""
    form = Form.read(b"client_id=a&client_secret=hidden")
    assert "hidden" not in repr(form)
    assert "hidden" not in repr(form.secret("client_secret", "client secret"))
    assert "hidden" not in repr(basic(b"a:hidden"))


def basic(shown: bytes) -> object:
    """Return what a header says."""
    return basic_login(base64.b64encode(shown).decode())


def test_a_secret_in_the_header_is_read_as_it_came_and_decoded() -> None:
    """RFC 6749 2.3.1 has it encoded; Rucio, FTS and DIRAC send it as it is."""
    login = basic_login(base64.b64encode(b"fts:a%2Bb:c+d").decode())
    assert login.ids == ("fts",)
    assert login.secrets == ("a%2Bb:c+d", "a+b:c d")
    login = basic_login(base64.b64encode(b"vo%3Afts:plain").decode())
    assert (login.ids, login.secrets) == (("vo%3Afts", "vo:fts"), ("plain",))


@pytest.mark.parametrize("text", ["", "%%%", "YWJj", "gICA", "YTpi=YTpi"])
def test_a_header_that_is_none_is_refused(text: str) -> None:
    """No base64, no colon, no UTF-8."""
    with pytest.raises(Malformed):
        basic_login(text)


def test_a_token_is_answered_with_all_that_clients_need() -> None:
    """`expires_in` is a whole number and `scope` always there."""
    said = json.loads(write_granted(granted().token, 3599))
    assert said == {
        "access_token": "access-token-value",
        "token_type": "Bearer",
        "expires_in": 3599,
        "scope": "storage.read:/dteam",
    }


def test_what_else_was_issued_stands_beside_it() -> None:
    """A refresh token, and what kind of token the first one is (RFC 8693 2.2.1)."""
    refresh_token = Secret("refresh token", "id.1.value")
    said = json.loads(
        write_granted(granted().token, 1, refresh_token=refresh_token, issued_type="urn:x")
    )
    assert said["refresh_token"] == "id.1.value"
    assert said["issued_token_type"] == "urn:x"


@given(st.text())
def test_a_description_holds_only_what_the_standard_allows(text: str) -> None:
    """RFC 6749 section 5.2: neither quotes nor backslashes, nor anything beyond ASCII."""
    said = json.loads(write_refused("invalid_request", text, "request-1"))
    allowed = {0x20, 0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)}
    assert {ord(one) for one in said["error_description"]} <= allowed
    assert (said["error"], said["request_id"]) == ("invalid_request", "request-1")
