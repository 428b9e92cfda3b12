"""Logins under way: device codes (RFC 8628) and authorization codes (RFC 6749, RFC 7636).

Pure but for chance, which is passed in; `now` is in seconds since the epoch. A code yields its
grant once and to its own client only.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credbroker.demo.issuer.errors import OAuthError

if TYPE_CHECKING:
    from credbroker.demo.issuer.consent import Asked, Grant
    from credbroker.demo.issuer.settings import IssuerSettings
    from credbroker.ports import Entropy

DEFAULT_INTERVAL = 5
"""Seconds between polls when the issuer names none (RFC 8628 section 3.2)."""


@dataclass(slots=True)
class DeviceLogin:
    """One device login: what is asked, and what the person made of it so far."""

    asked: Asked
    user_code: str
    device_code: str = field(repr=False)
    expires_at: float
    interval: float
    grant: Grant | None = None
    denied: bool = False
    used: bool = False
    polled_at: float | None = None

    def open(self, now: float) -> bool:
        """Tell if the person can still decide."""
        return self.grant is None and not self.denied and now < self.expires_at


class DeviceLogins:
    """All device logins of one issuer."""

    def __init__(self, settings: IssuerSettings, entropy: Entropy) -> None:
        """Take the code's lifetime and the polling rules from `settings`."""
        self._settings = settings
        self._entropy = entropy
        self._by_user_code: dict[str, DeviceLogin] = {}
        self._by_device_code: dict[str, DeviceLogin] = {}

    def begin(self, asked: Asked, now: float) -> DeviceLogin:
        """Start a login with fresh codes."""
        login = DeviceLogin(
            asked,
            self._fresh_user_code(),
            self._entropy.token(32),
            now + self._settings.lifetimes.device_code,
            self._settings.interval or DEFAULT_INTERVAL,
        )
        self._by_user_code[login.user_code] = login
        self._by_device_code[login.device_code] = login
        return login

    def find(self, user_code: str, now: float) -> DeviceLogin | None:
        """Return the login a person may still decide on, however the code was typed."""
        login = self._by_user_code.get(user_code.strip().upper())
        return login if login and login.open(now) else None

    def redeem(self, device_code: str, client_id: str, now: float) -> Grant:
        """Return the grant, once.

        Raises:
            OAuthError: as RFC 8628 section 3.5 lists them; `invalid_grant` for a code that is
                unknown, used, or another client's.
        """
        login = self._by_device_code.get(device_code)
        if not login or login.used or login.asked.client_id != client_id:
            raise OAuthError("invalid_grant", "Invalid device code.")
        if self._settings.enforce_interval:
            _slow_down_if_early(login, now)
        if now >= login.expires_at:
            raise OAuthError("expired_token", "The device code has expired.")
        if login.denied and self._settings.report_denial:
            raise OAuthError("access_denied", "The person refused.")
        if login.grant is None:
            raise OAuthError("authorization_pending", "The person has not decided yet.")
        login.used = True
        return login.grant

    def _fresh_user_code(self) -> str:
        while True:
            digest = hashlib.sha256(self._entropy.token(16).encode()).digest()
            code = base64.b32encode(digest)[:6].decode()
            if code not in self._by_user_code:
                return code


def _slow_down_if_early(login: DeviceLogin, now: float) -> None:
    early = login.polled_at is not None and now < login.polled_at + login.interval
    login.polled_at = now
    if early:
        login.interval += 5
        raise OAuthError("slow_down", "Polled too soon; wait 5 s longer from now on.")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A checked request for an authorization code."""

    asked: Asked
    redirect_uri: str
    state: str = ""
    code_challenge: str = ""


class AuthorizationCodes:
    """The authorization codes given out and not yet redeemed."""

    def __init__(self, life: int, entropy: Entropy) -> None:
        """Let a code live `life` seconds."""
        self._life = life
        self._entropy = entropy
        self._codes: dict[str, tuple[AuthorizationRequest, Grant, float]] = {}

    def issue(self, request: AuthorizationRequest, grant: Grant, now: float) -> str:
        """Return a code for what the person granted."""
        code = self._entropy.token(32)
        self._codes[code] = (request, grant, now + self._life)
        return code

    def redeem(self, code: str, client_id: str, shown: Redemption, now: float) -> Grant:
        """Return the grant, once; any attempt uses the code up.

        Raises:
            OAuthError: `invalid_grant` for a code unknown, used, late, another client's, asked for
                with another redirect URI, or without the verifier of its challenge.
        """
        request, grant, expires_at = self._codes.pop(code, (None, None, 0.0))
        if request is None or grant is None or now >= expires_at:
            raise OAuthError("invalid_grant", "Invalid authorization code.")
        if (client_id, shown.redirect_uri) != (grant.client_id, request.redirect_uri):
            raise OAuthError("invalid_grant", "The code was issued to another client or address.")
        if request.code_challenge and s256(shown.code_verifier) != request.code_challenge:
            raise OAuthError("invalid_grant", "The code verifier does not match.")
        return grant


@dataclass(frozen=True, slots=True)
class Redemption:
    """What a client shows beside the code: the redirect URI and the PKCE verifier."""

    redirect_uri: str
    code_verifier: str = field(repr=False)


def s256(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
