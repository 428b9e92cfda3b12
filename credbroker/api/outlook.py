"""How issuers and OpenBao/Vault stand, in sentences: what all replicas share, for every surface.

Nobody is asked anything for it: it is what the deeds have met lately.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from credbroker.broker.custody.gate import Standing
from credbroker.broker.engine import Engine
from credbroker.domain.grants import Grant
from credbroker.domain.keeping import expiry_warning
from credbroker.ports import Clock
from credbroker.wire.fields import write_instant


@dataclass(frozen=True, slots=True)
class IssuerOutlook:
    """One issuer: how its gate stands here, and how long work can go on without it.

    `horizon` says when the first token expires that somebody lives on, at any replica; None if
    nobody does.
    """

    name: str
    gate: Standing
    horizon: datetime.datetime | None

    @property
    def is_open(self) -> bool:
        """True while refreshes pass."""
        return self.trouble is None

    @property
    def trouble(self) -> str | None:
        """Why no refreshes pass, in a sentence; None while they do."""
        since = f", since {write_instant(self.gate.since)}" if self.gate.since is not None else ""
        if self.gate.client_paused:
            return f"The issuer {self.name!r} does not accept the broker's own client{since}."
        if self.gate.away:
            return f"The issuer {self.name!r} does not answer as it should{since}."
        if self.gate.open_until is not None:
            until = write_instant(self.gate.open_until)
            return f"The issuer {self.name!r} asked to be left alone until {until}."
        return None

    @property
    def troubles(self) -> list[str]:
        """What is wrong, in sentences; the brake among it, which lets some refreshes pass."""
        braked = (
            f"The issuer {self.name!r} called too many logins dead; it is not believed until an"
            " operator has looked."
        )
        found = [self.trouble, braked if self.gate.braked else None]
        return [sentence for sentence in found if sentence is not None]


@dataclass(frozen=True, slots=True)
class GrantOutlook:
    """What the owner of a grant should know; see `wire.native.LeaseStatus`."""

    log_in_before: datetime.datetime | None
    trouble: str | None
    tokens_last_until: datetime.datetime | None
    narrowing: str | None = None


class Outlook:
    """Looks at one replica's deeds, which hear from the other replicas."""

    def __init__(self, engine: Engine, clock: Clock, warn_seconds: float) -> None:
        """Tell a person of the end of a grant `warn_seconds` ahead."""
        self._engine = engine
        self._clock = clock
        self._warn_seconds = warn_seconds

    def issuers(self) -> list[IssuerOutlook]:
        """Return how each issuer stands, in the order of their names."""
        return [self._issuer(name) for name in sorted(self._engine.gates)]

    @property
    def store_is_silent(self) -> bool:
        """True while OpenBao/Vault does not answer."""
        return self._engine.outages.lasting

    @property
    def store_is_halted(self) -> bool:
        """True while nothing is refreshed because OpenBao/Vault was set back."""
        return self._engine.rewinding.halted

    def store_troubles(self) -> list[str]:
        """Return in sentences what is wrong with OpenBao/Vault."""
        found = []
        if self.store_is_silent:
            found.append("OpenBao/Vault does not answer.")
        if self.store_is_halted:
            found.append(
                "OpenBao/Vault was restored from a snapshot; nothing is refreshed until an operator"
                " has run: credbroker admin restored."
            )
        return found

    def grant(self, grant: Grant) -> GrantOutlook:
        """Return what the owner of this grant should know."""
        name = grant.key.issuer
        issuer = self._issuer(name) if name in self._engine.gates else None
        troubles = self.store_troubles()
        if issuer is not None and issuer.trouble is not None:
            troubles.insert(0, issuer.trouble)
        warned = expiry_warning(grant, self._clock.now(), self._warn_seconds)
        return GrantOutlook(
            log_in_before=grant.refresh_expires_at if warned is not None else None,
            trouble=" ".join(troubles) or None,
            tokens_last_until=issuer.horizon if issuer is not None and troubles else None,
            narrowing=self._narrowing(grant) if issuer is not None else None,
        )

    def _narrowing(self, grant: Grant) -> str | None:
        if not (grant.rotated and self._engine.minting.narrows_by_refresh(grant)):
            return None
        return (
            f"The issuer {grant.key.issuer!r} replaces the refresh token at each use, and narrower"
            " tokens can be had of it in no other way: each one is such a use."
        )

    def _issuer(self, name: str) -> IssuerOutlook:
        engine = self._engine
        horizons = engine.keeping.horizon(name), engine.replicas.others(name).horizon
        first = min((one for one in horizons if one is not None), default=None)
        return IssuerOutlook(name, engine.gates[name].standing(), first)
