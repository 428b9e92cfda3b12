"""A community's signing made of real parts in memory: a real key, real signatures, a fake store."""

from __future__ import annotations

from dataclasses import dataclass, field

from credbroker.broker.issuing.keyring import Keyring
from credbroker.broker.issuing.signing import Signing, algorithms
from credbroker.broker.running import Deeds, Means
from credbroker.domain.signing_keys import KeyRules, SigningKeys, withdraw
from credbroker.issuers.signers import OwnKeysmith
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.store import MemoryRecords

URL = "https://tokens.example.org:8200/dteam/"
DAY = 86400.0
RULES = KeyRules(announce_seconds=DAY, use_seconds=180 * DAY, longest_seconds=7 * DAY)


class FreshMarks:
    """Marks that are as recent as a test says. Follows `broker.issuing.signing.Marks`."""

    def __init__(self) -> None:
        """Be fresh."""
        self.is_fresh = True
        self.error: Exception | None = None
        self.asked = 0

    async def confirm(self, seconds: float) -> None:
        """Raise what the test set, or be fresh from now on."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.is_fresh = True


@dataclass
class SigningWorld:
    """What a signing stands on, for a test to reach; `await world.signing()` gives one, opened."""

    clock: FakeClock = field(default_factory=FakeClock)
    entropy: FakeEntropy = field(default_factory=FakeEntropy)
    audit: FakeAudit = field(default_factory=FakeAudit)
    marks: FreshMarks = field(default_factory=FreshMarks)
    url: str = URL
    rules: KeyRules = RULES
    algorithms: tuple[str, ...] = ("ES256",)
    """Keys of these are made; an RS256 key takes a tenth of a second and more."""
    particular: dict[str, str] = field(default_factory=dict)
    """Algorithms by audience; all others have the first of `algorithms`."""

    def __post_init__(self) -> None:
        self.means = Means(self.audit, self.clock, self.entropy, Deeds(self.clock))
        self.records = MemoryRecords[SigningKeys](self.clock)
        self.keysmith = OwnKeysmith()

    def keyring(self) -> Keyring:
        """Return a replica's keyring, not yet opened, over the one store."""
        return Keyring(
            self.records,
            "dteam",
            self.url,
            keysmith=self.keysmith,
            rules=self.rules,
            means=self.means,
            algorithms=self.algorithms,
        )

    async def signing(self) -> Signing:
        """Return a replica's signing, which has read its keys, or made them."""
        keyring = self.keyring()
        await keyring.open()
        keyring._silent_seconds = float("inf")  # tests let days pass in which nothing reads
        choice = algorithms(self.algorithms[0], self.particular)
        return Signing(self.url, keyring, self.marks, self.means, choice)


async def have_withdrawn(signing: Signing, key_id: str) -> None:
    """Withdraw a key in the store, as an operator does, and let this replica read that."""
    ring = signing._keyring
    found = await ring._records.get(ring._segment)
    assert found is not None
    after = withdraw(found.value, key_id, ring._means.clock.now().replace(microsecond=0))
    await ring._records.put(ring._segment, after, found.version)
    await ring.read()


async def memory_signing(clock: FakeClock | None = None, url: str = URL) -> Signing:
    """Return a signing with a real ES256 key, by `clock`, over a store of its own."""
    return await SigningWorld(clock=clock or FakeClock(), url=url).signing()
