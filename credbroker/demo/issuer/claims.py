"""The claims of access tokens and ID tokens, by the WLCG profile 1.3. Pure: time is passed in.

`wlcg.ver` is "1.0", times are whole seconds, `nbf` lies 60 s back, `aud` is a string when there is
one and an array when there are several. A group the person is not in is left out silently, as at
IAM; the item stays in `scope`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credbroker.demo.issuer.scopes import GROUPS
from credbroker.demo.issuer.settings import ANY_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Collection

    from credbroker.demo.issuer.consent import Grant
    from credbroker.demo.issuer.settings import Person

Claims = dict[str, Any]
BACKDATED = 60


@dataclass(frozen=True, slots=True)
class Stamp:
    """What any signed token carries: issuer, time of issue (epoch seconds), life (seconds), id."""

    issuer: str
    now: float
    life: int
    jti: str

    def claims(self) -> Claims:
        """Return `iss`, `jti`, `iat`, `nbf`, `exp` and `wlcg.ver`."""
        issued = int(self.now)
        return {
            "iss": self.issuer,
            "jti": self.jti,
            "iat": issued,
            "nbf": issued - BACKDATED,
            "exp": issued + self.life,
            "wlcg.ver": "1.0",
        }


def access_claims(grant: Grant, stamp: Stamp) -> Claims:
    """Return the claims of an access token for all of a grant (already narrowed)."""
    audience = list(grant.audience) or [ANY_AUDIENCE]
    return {
        **stamp.claims(),
        "sub": grant.subject,
        "aud": audience[0] if len(audience) == 1 else audience,
        "client_id": grant.client_id,
        "scope": " ".join(grant.scopes),
        **_groups_claim(grant),
        **_act_claim(grant.actors),
    }


def identity_claims(grant: Grant, stamp: Stamp) -> Claims:
    """Return the claims of an ID token (OpenID Connect Core section 2); `nonce` if one was given."""
    claims = {
        **stamp.claims(),
        "sub": grant.subject,
        "aud": grant.client_id,
        "auth_time": grant.auth_time,
        **_groups_claim(grant),
    }
    if grant.person:
        claims["preferred_username"] = grant.person.name
    if grant.nonce:
        claims["nonce"] = grant.nonce
    return claims


def mail_claims(person: Person, scopes: Collection[str]) -> Claims:
    """Return the verified address of a person who has one (OpenID Connect Core section 5.4)."""
    if "email" not in scopes or not person.mail:
        return {}
    return {"email": person.mail, "email_verified": True}


def groups_of(person: Person, scopes: tuple[str, ...]) -> list[str]:
    """Return the groups in the order asked, default groups last unless asked for earlier.

    No group item asked gives no groups (WLCG profile 1.3, section on group selection).
    """
    asked = [item for item in scopes if item == GROUPS or item.startswith(GROUPS + ":")]
    if asked and GROUPS not in asked:
        asked.append(GROUPS)
    groups: list[str] = []
    for item in asked:
        groups += person.groups if item == GROUPS else [item.removeprefix(GROUPS + ":")]
    mine = {*person.groups, *person.optional_groups}
    return [group for group in dict.fromkeys(groups) if group in mine]


def _act_claim(actors: tuple[str, ...]) -> Claims:
    """Return who acts, the last one outermost (RFC 8693 section 4.1)."""
    return {"act": {"sub": actors[0], **_act_claim(actors[1:])}} if actors else {}


def _groups_claim(grant: Grant) -> Claims:
    groups = groups_of(grant.person, grant.scopes) if grant.person else []
    return {GROUPS: groups} if groups else {}
