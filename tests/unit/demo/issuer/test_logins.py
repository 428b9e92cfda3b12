"""Device codes and authorization codes."""

from __future__ import annotations

import re

import pytest

from credbroker.demo.issuer.consent import Asked, Grant
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.logins import (
    AuthorizationCodes,
    AuthorizationRequest,
    DeviceLogin,
    DeviceLogins,
    Redemption,
    s256,
)
from credbroker.demo.issuer.settings import IssuerSettings
from credbroker.host.entropy import SystemEntropy

ASKED = Asked("broker", ("openid",))
GRANT = Grant("broker", None, ("openid",))
SHOWN = Redemption("http://127.0.0.1/cb", "v" * 43)


def logins(**wanted: object) -> DeviceLogins:
    """Return empty books; keywords go to the settings."""
    settings = IssuerSettings((), (), **wanted)  # type: ignore[arg-type]  # each test passes what the field takes
    return DeviceLogins(settings, SystemEntropy())


def refused(books: DeviceLogins, login: DeviceLogin, now: float, client_id: str = "broker") -> str:
    """Poll once and return the error."""
    with pytest.raises(OAuthError) as refusal:
        books.redeem(login.device_code, client_id, now)
    assert login.device_code not in str(refusal.value)
    return refusal.value.error


def test_a_user_code_is_six_characters_and_forgives_how_it_is_typed() -> None:
    """Upper-case letters and digits; case and blanks around it do not matter."""
    books = logins()
    login = books.begin(ASKED, 0)
    assert re.fullmatch("[A-Z2-7]{6}", login.user_code)
    assert books.find(f" {login.user_code.lower()} ", 0) is login
    assert books.find("NO SUCH", 0) is None


def test_a_device_code_yields_its_grant_once() -> None:
    """Pending until granted, `invalid_grant` once used."""
    books = logins()
    login = books.begin(ASKED, 0)
    assert refused(books, login, 1) == "authorization_pending"
    login.grant = GRANT
    assert refused(books, login, 2, client_id="other") == "invalid_grant"
    assert books.redeem(login.device_code, "broker", 3) is GRANT
    assert refused(books, login, 4) == "invalid_grant"


def test_a_device_code_expires() -> None:
    """At its end the poll says so and nobody can decide any more."""
    books = logins()
    login = books.begin(ASKED, 0)
    assert refused(books, login, 599.9) == "authorization_pending"
    assert refused(books, login, 600) == "expired_token"
    assert books.find(login.user_code, 600) is None


@pytest.mark.parametrize(
    ("report", "error"), [(False, "authorization_pending"), (True, "access_denied")]
)
def test_a_refusal_is_told_only_if_the_issuer_reports_it(report: bool, error: str) -> None:
    """IAM lets the client wait; the RFC's way is an option. Either way the matter is closed."""
    books = logins(report_denial=report)
    login = books.begin(ASKED, 0)
    login.denied = True
    assert refused(books, login, 1) == error
    assert books.find(login.user_code, 1) is None


def test_polling_too_fast_is_slowed_down_if_the_issuer_minds() -> None:
    """Each early poll adds 5 s to the interval of that login."""
    books = logins(enforce_interval=True, interval=3)
    login = books.begin(ASKED, 0)
    seen = [refused(books, login, now) for now in (0, 2.9, 10, 18)]
    assert seen == ["authorization_pending", "slow_down", "slow_down", "slow_down"]
    assert refused(books, login, 18 + 18) == "authorization_pending"


def test_an_indulgent_issuer_never_says_slow_down() -> None:
    """IAM does not watch the pace."""
    books = logins()
    login = books.begin(ASKED, 0)
    assert {refused(books, login, 0) for _ in range(5)} == {"authorization_pending"}


def test_a_device_code_does_not_show_in_a_repr() -> None:
    """The user code may; the device code is a secret."""
    login = logins().begin(ASKED, 0)
    assert login.device_code not in repr(login)


def codes(challenge: str = "") -> tuple[AuthorizationCodes, str]:
    """Return books with one code, given out at 0 for 60 s."""
    books = AuthorizationCodes(60, SystemEntropy())
    request = AuthorizationRequest(ASKED, SHOWN.redirect_uri, "state", challenge)
    return books, books.issue(request, GRANT, 0)


def test_an_authorization_code_yields_its_grant_once() -> None:
    """With the right verifier, within its life."""
    books, code = codes(s256(SHOWN.code_verifier))
    assert books.redeem(code, "broker", SHOWN, 59.9) is GRANT
    with pytest.raises(OAuthError, match="invalid_grant"):
        books.redeem(code, "broker", SHOWN, 59.9)


@pytest.mark.parametrize(
    ("client_id", "shown", "now"),
    [
        ("broker", SHOWN, 60),
        ("other", SHOWN, 1),
        ("broker", Redemption("http://127.0.0.1/else", SHOWN.code_verifier), 1),
        ("broker", Redemption(SHOWN.redirect_uri, "w" * 43), 1),
        ("broker", Redemption(SHOWN.redirect_uri, ""), 1),
    ],
)
def test_an_authorization_code_is_bound(client_id: str, shown: Redemption, now: float) -> None:
    """To its time, client, redirect URI and verifier."""
    books, code = codes(s256(SHOWN.code_verifier))
    with pytest.raises(OAuthError, match="invalid_grant"):
        books.redeem(code, client_id, shown, now)


def test_the_challenge_is_that_of_the_standard() -> None:
    """RFC 7636 appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert s256(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
