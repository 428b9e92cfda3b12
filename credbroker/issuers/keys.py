"""An issuer's public keys, and the one place that believes a signature.

Follows the WLCG profile's verification steps: asymmetric algorithms only, `kid` must select the
key, an unknown `kid` leads to one refetch a minute and then to refusal. Keys are refreshed after 6
hours and used for at most 4 days while the issuer cannot be reached. Nobody waits for that while
the key is held, unless nobody has looked at the issuer's keys for half a day.

A broker that starts while the issuer is away goes by the keys that a broker kept, for half a day
from when the issuer was heard; it asks the issuer again every minute while it does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key

from credbroker.domain.errors import CredbrokerError, IssuerMisbehaved, IssuerUnreachable
from credbroker.domain.secret import Secret
from credbroker.issuers.kept_keys import KeptKeys
from credbroker.issuers.metadata import Metadata
from credbroker.ports import Clock, HttpDoor, NoAnswerError, NotSentError

ALGORITHMS = ["RS256", "ES256"]
FRESH_SECONDS = 6 * 3600.0
# Who finds keys that nobody looked after for so long waits: one may have been withdrawn since.
IDLE_SECONDS = 2 * FRESH_SECONDS
LONGEST_SECONDS = 4 * 86400.0
REFETCH_SECONDS = 60.0
RETRY_SECONDS = 2.0

KeySet = dict[str, RSAKey | ECKey]

log = structlog.get_logger(__name__)


class Keys:
    """The published keys of one issuer."""

    def __init__(
        self,
        metadata: Metadata,
        door: HttpDoor,
        clock: Clock,
        seconds: float,
        *,
        kept: KeptKeys | None = None,
    ) -> None:
        """Fetch keys from where `metadata` says; a fetch may take `seconds`.

        What was fetched is `kept` for the next start, and found there if the issuer is away then.
        """
        self._metadata = metadata
        self._door = door
        self._clock = clock
        self._seconds = seconds
        self._kept = kept
        self._held: KeySet = {}
        self._fetched_at = self._good_until = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._refreshing: asyncio.Future[None] | None = None

    async def verify(self, value: Secret) -> Mapping[str, Any]:
        """Return the claims of a JWT whose signature is this issuer's.

        Raises `IssuerMisbehaved` if it is not; `IssuerUnreachable` if no keys could be had.
        """
        text = value.reveal()
        try:
            header = jws.extract_compact(text.encode()).headers()
        except (JoseError, ValueError):
            raise IssuerMisbehaved("The issuer's token is not a signed token.") from None
        key = await self._key(header.get("kid"))
        try:
            payload = jws.deserialize_compact(text, key, algorithms=ALGORITHMS).payload
            claims = json.loads(payload)
        except (JoseError, ValueError):
            raise IssuerMisbehaved("The token's signature is not the issuer's.") from None
        if not isinstance(claims, dict):
            raise IssuerMisbehaved("The token's claims are not an object.")
        return claims

    async def fetch_afresh(self) -> None:
        """Fetch the keys now, however fresh those at hand are; they are kept if that fails.

        Raises `IssuerUnreachable` and its like only if none at hand are young enough.
        """
        async with self._fetching:
            await self._renew()

    async def _key(self, key_id: object) -> RSAKey | ECKey:
        if not isinstance(key_id, str):
            raise IssuerMisbehaved("The token does not say which key signed it.")
        if self._lacks(key_id):
            idle = self._clock.elapsed() - self._tried_at > IDLE_SECONDS
            if key_id in self._held and self._are_good() and not idle:
                self._refresh_meanwhile(key_id)
            else:
                await self._refresh(key_id)
        if key_id not in self._held:
            raise IssuerMisbehaved("The token is signed by a key that the issuer does not publish.")
        return self._held[key_id]

    async def _refresh(self, key_id: str) -> None:
        async with self._fetching:
            if self._lacks(key_id):  # who waited has what the one before fetched
                await self._refetch()

    def _refresh_meanwhile(self, key_id: str) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._refresh(key_id))
            self._refreshing.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _are_good(self) -> bool:
        return bool(self._held) and self._clock.elapsed() <= self._good_until

    def _lacks(self, key_id: str) -> bool:
        return key_id not in self._held or self._age() > FRESH_SECONDS

    def _age(self) -> float:
        return self._clock.elapsed() - self._fetched_at

    async def _refetch(self) -> None:
        must = not self._are_good()
        tried = self._clock.elapsed() - self._tried_at
        if tried >= (RETRY_SECONDS if must else REFETCH_SECONDS):
            await self._renew()
        elif must:
            raise IssuerUnreachable("The issuer's keys could not be fetched a moment ago.")

    async def _renew(self) -> None:
        """Fetch the keys, or go on with those at hand, or with those that were kept; else raise."""
        began = self._clock.elapsed()
        try:
            self._held = await self._fetch()
            self._fetched_at, self._good_until = began, began + LONGEST_SECONDS
            self._keep()
        except CredbrokerError:
            if not self._are_good() and not await self._recall():
                raise
        finally:
            self._tried_at = self._clock.elapsed()

    def _keep(self) -> None:
        if self._kept is not None and self._held:
            keys = [self._held[key_id].as_dict(private=False) for key_id in sorted(self._held)]
            self._kept.keep(json.dumps({"keys": keys}, sort_keys=True))

    async def _recall(self) -> bool:
        """Take the keys that were kept, if they are young enough; they count as due to be fetched."""
        found = await self._kept.found() if self._kept is not None else None
        if found is None:
            return False
        text, age = found
        if age > IDLE_SECONDS:
            return False
        try:
            self._held = _read_set(text)
        except IssuerMisbehaved as error:
            log.warning("kept_keys_damaged", why=error.sentence)
            return False
        self._good_until = self._clock.elapsed() + IDLE_SECONDS - age
        return self._are_good()

    async def _fetch(self) -> KeySet:
        endpoints = await self._metadata.endpoints()
        try:
            answer = await self._door.get(endpoints.jwks, seconds=self._seconds)
        except (NotSentError, NoAnswerError) as error:
            raise IssuerUnreachable("The issuer's keys cannot be fetched.") from error
        if answer.status != 200:
            raise IssuerUnreachable(f"The issuer answers {answer.status} instead of its keys.")
        return _read_set(answer.body)


def _read_set(text: str | bytes) -> KeySet:
    """Return the signing keys of a JWK set, by `kid`; raise `IssuerMisbehaved` if it is none."""
    try:
        published = json.loads(text)["keys"]
        return {entry["kid"]: key for entry in published if (key := _read_key(entry))}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise IssuerMisbehaved("The issuer's keys cannot be read.") from None


def _read_key(entry: object) -> RSAKey | ECKey | None:
    """Return a signing key, or None for what is none: it hides no other (RFC 7517 section 5)."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
        return None
    try:
        key = import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if not isinstance(key, RSAKey | ECKey) or entry.get("use", "sig") != "sig":
        return None
    return key
