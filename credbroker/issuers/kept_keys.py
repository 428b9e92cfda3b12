"""An issuer's public keys where a broker finds them that starts while the issuer is away.

- All replicas share one record. It is written when the keys have changed, and else every few hours,
  since its age, by Vault's clock, says how long ago the issuer was heard.
- What cannot be kept or read is only missing: nobody waits for the writing, and nothing fails by it.
- Keys of another issuer's address, from before the settings changed, are nobody's.
"""

from __future__ import annotations

import asyncio

import structlog

from credbroker.domain.errors import CredbrokerError
from credbroker.domain.marks import MOST_KEY_SET_CHARACTERS, PublishedKeys
from credbroker.ports import RecordStore, StaleVersionError

WRITTEN_AGAIN_SECONDS = 3 * 3600.0

log = structlog.get_logger(__name__)


class KeptKeys:
    """The record of one issuer's keys."""

    def __init__(self, records: RecordStore[PublishedKeys], segment: str, issuer_url: str) -> None:
        """Keep the keys of the issuer `issuer_url` in the record `segment`."""
        self._records = records
        self._segment = segment
        self._issuer_url = issuer_url
        self._keeping: asyncio.Future[None] | None = None

    def keep(self, key_set: str) -> None:
        """Have a key set written that the issuer published just now, while everybody goes on."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.ensure_future(self._keep(key_set))

    async def found(self) -> tuple[str, float] | None:
        """Return the key set that was kept and its age in seconds, or None if there is none."""
        try:
            stored = await self._records.get(self._segment)
        except CredbrokerError as error:
            log.warning("kept_keys_not_read", issuer=self._issuer_url, why=error.sentence)
            return None
        if stored is None or stored.value.issuer_url != self._issuer_url:
            return None
        return stored.value.key_set, stored.age_seconds

    async def _keep(self, key_set: str) -> None:
        try:
            await self._write(key_set)
        except StaleVersionError:
            pass  # another replica's, of this moment
        except CredbrokerError as error:
            log.warning("keys_not_kept", issuer=self._issuer_url, why=error.sentence)

    async def _write(self, key_set: str) -> None:
        if len(key_set) > MOST_KEY_SET_CHARACTERS:
            log.warning("keys_not_kept", issuer=self._issuer_url, why="They are too many.")
            return
        new = PublishedKeys(self._issuer_url, key_set)
        stored = await self._records.get(self._segment)
        version, age = (stored.version, stored.age_seconds) if stored is not None else (0, 0.0)
        if stored is None or stored.value != new or age >= WRITTEN_AGAIN_SECONDS:
            await self._records.put(self._segment, new, version)
