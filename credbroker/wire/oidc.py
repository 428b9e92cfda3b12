"""Token-endpoint talk: forms out, answers in, and what each answer proves.

Follows RFC 6749 sections 5.2 and 6 and RFC 8628, with the deviations of INDIGO IAM (a dead refresh
token is 401 `invalid_token`, a disabled user 401 `unauthorized`, no `interval`, no denial). The
tables below decide what an answer proves about a refresh token; whatever is not in them is unclear.
An issuer's own text (`error_description`, HTML) is read for decisions and never repeated: it may
hold the refresh token.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
from dataclasses import replace
from typing import Mapping, Sequence
from urllib.parse import urlencode

from credbroker.domain.device import (
    DEFAULT_INTERVAL_SECONDS,
    DEFAULT_LIFETIME_SECONDS,
    DeviceStart,
    LoginOutcome,
    LoginOver,
    PollOutcome,
    StillPending,
)
from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    GrantPaused,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    IssuerUnreachable,
    LoginDenied,
    LoginExpired,
    LoginNeeded,
    Malformed,
    Unavailable,
)
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Renewed, Unclear
from credbroker.domain.scopes import ScopeSet, parse_item
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, parse_object

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

_DEAD = {"invalid_grant", "invalid_token"}
_OUR_CLIENT = {"invalid_client", "unauthorized_client", "unauthorized"}
_OUR_REQUEST = {
    "invalid_scope",
    "invalid_request",
    "unsupported_grant_type",
    "access_denied",
}
# `invalid_target` is missing above on purpose: an issuer was seen to use up the refresh token first
# and to look at the audience afterwards.
# A status that a token endpoint which acted would not give: routing, limits, "go elsewhere".
_PROVES_NOT_ACTED = {307, 308, 404, 405, 413, 429}
# INDIGO IAM's word for a disabled person is also its word for a wrong client secret.
_ABOUT_CLIENT = re.compile(r"\bclient\b", re.IGNORECASE)
# How OAuth's own error words look; the phrases that web servers put there do not (RFC 6749 5.2).
_OAUTH_WORD = re.compile(r"[a-z]+(_[a-z]+)*")
_FAILURES = {"server_error", "temporarily_unavailable"}
_USAGE_POLICY = re.compile(r"\baup\b", re.IGNORECASE)
# No lifetime is longer; a greater number is a slip, or another word for "no end".
_LONGEST_LIFETIME_SECONDS = 10 * 366 * 86400.0
# A slip in a header must not take an issuer away for a day.
LONGEST_RETRY_AFTER_SECONDS = 3600.0


def form(fields: Mapping[str, str | Sequence[str] | None]) -> bytes:
    """Write a form body (application/x-www-form-urlencoded) without the fields that are None.

    A field with several values is written once for each (RFC 8707 section 2).
    """
    present = {name: value for name, value in fields.items() if value is not None}
    return urlencode(present, doseq=True).encode()


def read_retry_after(said: str | None, now: datetime.datetime) -> float | None:
    """Return for how many seconds an answer asks to be left alone, an hour at the most.

    `said` is its `Retry-After` header, seconds or a date (RFC 9110 section 10.2.3), `now` aware;
    None if there is none that can be read.
    """
    if said is None:
        return None
    if said.isascii() and said.isdigit():
        wait = float(said)
    else:
        try:
            at = email.utils.parsedate_to_datetime(said)
        except (ValueError, TypeError, OverflowError):
            return None
        # The RFC's dates are in GMT, also one that does not say so.
        wait = (at.replace(tzinfo=at.tzinfo or datetime.timezone.utc) - now).total_seconds()
    return min(max(wait, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def refresh_outcome(status: int, body: bytes, retry_after_seconds: float | None = None) -> Outcome:
    """Say what a complete answer to a refresh proves, and how long the issuer wants to rest."""
    outcome = _proven(status, body)
    if isinstance(outcome, (NotActedOn, Unclear)):
        return replace(outcome, retry_after_seconds=retry_after_seconds)
    return outcome


def _proven(status: int, body: bytes) -> Outcome:
    if status == 200:
        try:
            return read_renewed(body)
        except Malformed:
            return Unclear(IssuerMisbehaved("The issuer's answer to a refresh cannot be read."))
    error, text = _oauth_error(body)
    if error in _DEAD and not _USAGE_POLICY.search(text):
        return Dead(LoginNeeded("The issuer no longer accepts this login."))
    if error in _DEAD:
        return NotActedOn(
            GrantPaused(
                "The issuer wants its usage policy (AUP) signed first.",
                "Sign in at the issuer's own page and accept the policy; then try again.",
            )
        )
    if error == "unauthorized" and not _ABOUT_CLIENT.search(text):
        return NotActedOn(
            GrantPaused(
                "The issuer says that this account may not log in now.",
                "Ask the issuer's operators; the login is kept.",
            )
        )
    known = refusal(error)
    if known is not None:
        return NotActedOn(known)
    why = _spoken(error) if _is_speech(status, error) else _no_sense(status)
    return NotActedOn(why) if status in _PROVES_NOT_ACTED else Unclear(why)


def _is_speech(status: int, error: str) -> bool:
    """True for a refusal in OAuth's words: of one request, and no sign that the issuer fails."""
    worded = _OAUTH_WORD.fullmatch(error) is not None and error not in _FAILURES
    return worded and 400 <= status < 500 and status != 429


def _spoken(error: str) -> CredbrokerError:
    what = "this audience" if error == "invalid_target" else "this request"
    return IssuerRefusedRequest(f"The issuer refuses {what}.")


def check_probe(status: int, body: bytes) -> None:
    """Return if this answer to a made-up refresh token shows that the issuer is there: any refusal.

    Raises `ClientRejected` if it is our client that is refused, `IssuerFailed` for anything else.
    """
    error, _ = _oauth_error(body)
    known = refusal(error)
    if isinstance(known, ClientRejected):
        raise known
    if not 400 <= status < 500:
        raise IssuerFailed(f"The issuer answers a probe with status {status} and no sense.")


def poll_outcome(status: int, body: bytes) -> PollOutcome:
    """Say what an answer to a device poll means (RFC 8628 section 3.5).

    Raises `Unavailable` kinds for answers that say nothing about the login.
    """
    error, _ = _oauth_error(body) if status != 200 else ("", "")
    if error == "authorization_pending":
        return StillPending()
    if error == "slow_down":
        return StillPending(slower=True)
    if error == "access_denied":
        return LoginOver(LoginDenied("The login was refused at the issuer."))
    if error in {"expired_token", "invalid_grant"}:
        return LoginOver(LoginExpired("Nobody confirmed the login in time."))
    return _login_outcome(status, body, error)


def redeem_outcome(status: int, body: bytes) -> LoginOutcome:
    """Say what an answer to an authorization code means (RFC 6749 sections 4.1.4 and 5.2).

    Raises `Unavailable` kinds for answers that say nothing about the login.
    """
    error, _ = _oauth_error(body) if status != 200 else ("", "")
    if error == "invalid_grant":
        return LoginOver(LoginExpired("The issuer does not accept this login: it came too late."))
    return _login_outcome(status, body, error)


def _login_outcome(status: int, body: bytes, error: str) -> LoginOutcome:
    """Say what every kind of login has in common: the tokens, or a refusal of our client."""
    if status == 200:
        try:
            return read_renewed(body)
        except Malformed:
            raise IssuerMisbehaved("The issuer's answer to a login cannot be read.") from None
    known = refusal(error)
    if known is not None:
        return LoginOver(known)
    raise _no_sense(status)


def refusal(error: str) -> CredbrokerError | None:
    """Return what an OAuth error word says about our client or our request, or None."""
    if error in _OUR_CLIENT:
        return ClientRejected("The issuer does not accept the broker's client id or secret.")
    if error in _OUR_REQUEST:
        return IssuerRefusedRequest("The issuer refuses this scope or audience to the broker.")
    return None


def check_success(status: int, body: bytes, what: str) -> Fields:
    """Return the JSON fields of a 200 answer; raise the fitting error for anything else."""
    if status != 200:
        error, _ = _oauth_error(body)
        raise refusal(error) or _no_sense(status)
    try:
        return parse_object(body, what)
    except Malformed:
        raise IssuerMisbehaved(f"{what} cannot be read.") from None


def read_renewed(body: bytes) -> Renewed:
    """Read a successful token answer (RFC 6749 section 5.1); raise `Malformed`.

    Only the tokens themselves can make it unreadable: an odd scope or lifetime beside them must not
    cost the successor of a refresh token that was used up.
    """
    fields = parse_object(body, "The issuer's token answer")
    refresh = fields.text("refresh_token") if fields.raw("refresh_token") else None
    identity = fields.text("id_token") if fields.raw("id_token") else None
    return Renewed(
        access_token=Secret("access token", fields.text("access_token")),
        refresh_token=Secret("refresh token", refresh) if refresh else None,
        id_token=Secret("ID token", identity) if identity else None,
        scopes=_granted(fields),
        expires_in=_lifetime(fields, "expires_in"),
        refresh_expires_in=_lifetime(fields, "refresh_expires_in"),
    )


def _granted(fields: Fields) -> ScopeSet | None:
    """Return the scopes that the issuer says it granted; what cannot be read was not granted."""
    if "scope" not in fields:
        return None
    said = fields.raw("scope")
    found = []
    for item in said.split() if isinstance(said, str) else ():
        with contextlib.suppress(Malformed):
            found.append(parse_item(item))
    return ScopeSet(tuple(dict.fromkeys(found)))


def _lifetime(fields: Fields, name: str) -> float | None:
    """Return a lifetime in seconds, or None if none is said; some issuers write it as text.

    Zero is how some say "no end" (Keycloak's `refresh_expires_in`).
    """
    said = fields.raw(name)
    if isinstance(said, str) and said.isdecimal():
        said = float(said)
    if isinstance(said, bool) or not isinstance(said, (int, float)):
        return None
    return float(said) if 0 < said <= _LONGEST_LIFETIME_SECONDS else None


def read_device_start(status: int, body: bytes) -> DeviceStart:
    """Read the answer to a device request (RFC 8628 section 3.2), with its defaults."""
    fields = check_success(status, body, "The issuer's device answer")
    try:
        return DeviceStart(
            device_code=Secret("device code", fields.text("device_code")),
            user_code=_shown(fields.text("user_code")),
            verification_uri=_web_address(fields.text("verification_uri")),
            verification_uri_complete=_optional_web_address(fields),
            expires_in=_lifetime(fields, "expires_in") or DEFAULT_LIFETIME_SECONDS,
            interval_seconds=_lifetime(fields, "interval") or DEFAULT_INTERVAL_SECONDS,
        )
    except Malformed:
        raise IssuerMisbehaved("The issuer's device answer cannot be read.") from None


def _shown(text: str) -> str:
    """Refuse what would do something else on a terminal than show itself."""
    if not text.isprintable():
        raise Malformed("The issuer's user code cannot be shown.")
    return text


def _web_address(text: str) -> str:
    """Refuse what a terminal or browser should not be handed, such as escape codes or file URLs."""
    if not text.startswith(("https://", "http://")) or not text.isprintable() or " " in text:
        raise Malformed("The issuer's verification address is not a web address.")
    return text


def _optional_web_address(fields: Fields) -> str | None:
    complete = fields.optional("verification_uri_complete", fields.text)
    return _web_address(complete) if complete is not None else None


def _oauth_error(body: bytes) -> tuple[str, str]:
    """Return the error word and the issuer's text, both empty if this is no OAuth error."""
    try:
        fields = parse_object(body, "the answer")
        said = fields.raw("error_description")
        return fields.text("error"), said if isinstance(said, str) else ""
    except Malformed:
        return "", ""


def _no_sense(status: int) -> Unavailable:
    if status in {429, 503}:
        return IssuerUnreachable(f"The issuer is busy or away: it answered with status {status}.")
    if status >= 500:
        return IssuerFailed(f"The issuer failed: it answered with status {status}.")
    return IssuerMisbehaved(f"The issuer answered with status {status}, which makes no sense here.")
