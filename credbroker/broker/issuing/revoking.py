"""Ends what we signed before its time, and says whether something still counts.

Every replica knows within 5 s, while the store answers.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from credbroker.broker.containing import Containing
from credbroker.broker.issuing.granting import ClientCaller, judge
from credbroker.broker.issuing.offline import Offlines
from credbroker.broker.issuing.signing import Signed, Signing
from credbroker.broker.issuing.trail import about_signed
from credbroker.broker.running import Means
from credbroker.broker.storing import answered
from credbroker.broker.trail import whence
from credbroker.domain.clients import Client
from credbroker.domain.errors import TokenRefused
from credbroker.domain.issued_refresh import IssuedRefresh
from credbroker.domain.policy import OFFLINE
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.wire.issued import read_refresh_text

_INACTIVE: Mapping[str, object] = {"active": False}


class Revoking:
    """Revocation and introspection at one community."""

    def __init__(
        self,
        community: str,
        signing: Signing,
        offlines: Offlines,
        containing: Containing,
        means: Means,
    ) -> None:
        """Revoke what `signing` signed and what of `offlines` was given."""
        self._community = community
        self._signing = signing
        self._offlines = offlines
        self._containing = containing
        self._audit = means.audit
        self._clock = means.clock
        self._deeds = means.deeds

    async def revoke(self, caller: ClientCaller, shown: Secret) -> None:
        """End a token of this client (RFC 7009); one that is unknown or over is as good as ended.

        Somebody else's goes on. Raises `ClientNotAllowed` for a client that is contained, and
        `Busy` and `StoreUnavailable` kinds: then nothing is promised.
        """
        self._containing.judge_client(self._community, caller.client.id)
        refresh = read_refresh_text(shown)
        if refresh is not None:
            await self._offlines.end(refresh, caller.client, caller.answer_by)
            return
        try:
            signed = await self._signing.verify(shown)
        except TokenRefused:
            return
        if signed.client_id == caller.client.id:
            ending = self._deeds.begin(self._end(signed, caller), "revoke a token")
            left = max(0.0, caller.answer_by - self._clock.elapsed())
            await answered(self._deeds, ending, left)

    async def _end(self, signed: Signed, caller: ClientCaller) -> None:
        """End an access token; it is in the trail also if nobody waits for that any more."""
        until = _last_of(signed.token, caller.client)
        await self._containing.end_signed(signed.token.jti, until)
        await self._audit.record(
            "token_revoked",
            **about_signed(signed.token, signed.client_id, self._community),
            **whence(caller.origin),
        )

    async def look(self, caller: ClientCaller, shown: Secret) -> Mapping[str, object]:
        """Return what introspection answers (RFC 7662 section 2.2): little, and only of what counts.

        A refresh token is known to the client alone that it was given to. Raises `ClientNotAllowed`
        for a client that is contained, and `StoreUnavailable` kinds where that cannot be told.
        """
        await self._admit(caller)
        refresh = read_refresh_text(shown)
        try:
            if refresh is not None:
                found = await self._offlines.find(refresh, caller.client, caller.answer_by)
                return _offline_claims(found)
            signed = await self._signing.verify(shown)
            judge(signed, self._community, self._containing)
        except TokenRefused:
            return _INACTIVE
        return _claims(signed)

    async def _admit(self, caller: ClientCaller) -> None:
        left = caller.answer_by - self._clock.elapsed()
        await self._containing.admit_client(self._community, caller.client.id, left)


def _last_of(token: AccessToken, client: Client) -> datetime.datetime:
    """Return when nothing of a token counts any more: itself, and refresh tokens that came of it."""
    if OFFLINE not in token.scopes.items:
        return token.expires_at
    lasting = datetime.timedelta(seconds=client.offline_seconds)
    return max(token.expires_at, token.issued_at + lasting)


def _claims(signed: Signed) -> Mapping[str, object]:
    token = signed.token
    return {
        "active": True,
        "token_type": "Bearer",
        "iss": token.issuer_url,
        "sub": token.subject,
        "client_id": signed.client_id,
        "aud": token.audiences[0] if len(token.audiences) == 1 else list(token.audiences),
        "scope": str(token.scopes),
        "exp": int(token.expires_at.timestamp()),
        "iat": int(token.issued_at.timestamp()),
        "nbf": int(token.not_before.timestamp()),
        "jti": token.jti,
    }


def _offline_claims(issued: IssuedRefresh) -> Mapping[str, object]:
    return {
        "active": True,
        "client_id": issued.holder,
        "sub": issued.subject,
        "scope": str(issued.right.scopes),
        "exp": int(issued.ends_at.timestamp()),
        "iat": int(issued.created_at.timestamp()),
    }
