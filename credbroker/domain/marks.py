"""What is remembered in Vault beside grants and leases: about issuers, replicas, and Vault itself."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Mapping, Optional

from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.secret import Secret

LEAST_GRACE_SECONDS = 15.0
"""A refresh may wait for a third of the grace. Where that is less than 5 s, the rule would put more
grants in doubt than its retry saves."""
MOST_KEY_SET_CHARACTERS = 64 * 1024
"""An issuer that publishes more has no key set kept; it has no more than two keys as a rule."""


@dataclass(frozen=True)
class IssuerMark:
    """What all replicas know about one issuer; `braked_at` is set while its brake is on."""

    name: str
    rule: Optional[Rule] = None
    """What a probe found; the operator's setting outranks it."""
    rotates: bool = False
    """True for good once a refresh gave another value: `retry_safe` is over then."""
    recorded_at: Optional[datetime.datetime] = None
    braked_at: Optional[datetime.datetime] = None
    braked_by: str = ""
    bridged_until: Optional[datetime.datetime] = None
    """When the last token has expired that was signed here for its people while it was out."""

    def effective(self, operators: Optional[Rule]) -> Rule:
        """Return the rule to go by; nothing on record, or trust that was broken, means `ask`."""
        rule = operators or self.rule or Rule()
        if self.rotates and rule.kind is UnclearRule.RETRY_SAFE:
            return Rule()
        return rule


@dataclass(frozen=True)
class IssuerCount:
    """One replica's count of what an issuer said to refreshes in the last 10 minutes."""

    refreshes: int = 0
    dead: int = 0
    horizon: Optional[datetime.datetime] = None
    """When the first live consumer's token expires, of those this replica serves."""
    failing_seconds: float = 0.0
    """For how long this replica has itself seen it fail, without one answer."""


@dataclass(frozen=True)
class Heartbeat:
    """A replica says that it lives; the record's age, by Vault's clock, says if it still does."""

    replica: str
    beat: int
    counts: Mapping[str, IssuerCount] = field(default_factory=dict)


@dataclass(frozen=True)
class RewindMark:
    """A counter that only rises, and the halt that is called when it was seen to have fallen."""

    counter: int = 0
    halted_at: Optional[datetime.datetime] = None
    halted_by: str = ""
    sorted_by: tuple[str, ...] = ()
    """The replicas that have sorted the grants their hosts remember, since the halt."""


@dataclass(frozen=True)
class PublishedKeys:
    """The public keys that the issuer at `issuer_url` was heard with last, as a JWK set (RFC 7517)."""

    issuer_url: str
    key_set: str


@dataclass(frozen=True)
class SpoolKey:
    """The key pair that spools are sealed with: raw X25519 bytes in base64url."""

    public: str
    private: Secret
