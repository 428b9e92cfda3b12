"""Builds a broker by the settings as they are written now, to take over from the one that runs.

- Settings that cannot be taken are refused as a whole; the trail says which were taken, or why none.
- The tokens at hand go over, but for those of issuers of which anything was changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from credbroker.config.changes import changed, check_takeable, issuers_as_before
from credbroker.config.schema import Settings
from credbroker.domain.errors import CredbrokerError
from credbroker.telemetry.counting import CountedAudit
from credbroker.telemetry.logging import configure

if TYPE_CHECKING:
    from credbroker.serving import Daemon


class Renewing:
    """Builds who takes over, as often as it is asked."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        build: Callable[[Settings], Awaitable[Daemon]],
        audit: CountedAudit,
    ) -> None:
        """Compare what `read` returns with `settings`, by which the broker runs that there is."""
        self._settings = settings
        self._read = read
        self._build = build
        self._audit = audit

    async def __call__(self, before: Daemon) -> Daemon:
        """Return who is to take over. Raises `BadSettings`, and what `build` raises."""
        try:
            settings = self._read()
            check_takeable(self._settings, settings)
            after = await self._build(settings)
        except CredbrokerError as error:
            with suppress(CredbrokerError):
                await self._audit.record("settings_refused", why=error.sentence)
            raise
        try:
            await self._audit.record("settings_taken", changed=changed(self._settings, settings))
        except CredbrokerError:
            await after.opened.aclose()
            raise
        issuer_urls = issuers_as_before(self._settings, settings)
        after.engine.held.take_from(before.engine.held, issuer_urls)
        self._settings = settings
        self._audit.label_with(settings.issuers)
        configure(settings.log.level)
        return after
