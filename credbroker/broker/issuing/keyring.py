"""The signing keys of one community, as this replica knows them; `domain.signing_keys` has the rules.

- Read every 30 s, give or take a quarter, so a withdrawal holds everywhere within a minute.
- A key that is due is made by the first replica to notice, written by check-and-set before anybody
  signs with it or publishes it, and found by the others.
- While OpenBao/Vault is away the keys at hand go on being used and published, each in its own time.
  Who has not read for so long that a successor unknown here may have begun signs nothing.
- What was published once is not forgotten: a record that lacks it, as after a restored snapshot, is
  mended.
- A key that cannot be used here keeps no other from being used, nor any from being published.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.domain.errors import (
    ClockOff,
    CredbrokerError,
    KeysMissing,
    RecordDamaged,
    StoreMisconfigured,
)
from credbroker.domain.signing_keys import (
    ALGORITHMS,
    SETTLING_SECONDS,
    KeyHalves,
    KeyRules,
    Plan,
    SigningKey,
    SigningKeys,
    by_algorithm,
    joined,
    plan,
    published,
)
from credbroker.ports import RecordStore, StaleVersionError
from credbroker.wire.issuer_documents import key_set

READ_SECONDS = 30.0
_LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)

log = structlog.get_logger(__name__)


class Signer(Protocol):
    """Signs with one private key (RFC 7518 section 3)."""

    async def sign(self, many: Sequence[bytes]) -> list[bytes]:
        """Return the JWS signature of each, in the same order.

        Raises `StoreUnavailable` kinds where the key lies elsewhere.
        """


class Keysmith(Protocol):
    """Makes keys and works with them."""

    async def make(self, algorithm: str) -> KeyHalves:
        """Return a new pair. Raises `StoreUnavailable` kinds where it is to lie elsewhere."""

    def signer(self, halves: KeyHalves) -> Signer:
        """Return what signs with this pair.

        Raises `RecordDamaged` if its private half is none of it, `Misconfigured` if out of reach.
        """

    def verify(self, halves: KeyHalves, signed: bytes, signature: bytes) -> bool:
        """Return whether the pair made this signature. Raises `RecordDamaged` as `signer` does."""


@dataclass(frozen=True, slots=True)
class InUse:
    """A key that may sign now, and what signs with it."""

    key: SigningKey
    signer: Signer


class Keyring:
    """Knows which key signs, and which are published."""

    def __init__(
        self,
        records: RecordStore[SigningKeys],
        community: str,
        url: str,
        *,
        keysmith: Keysmith,
        rules: KeyRules,
        means: Means,
        algorithms: Sequence[str] = ALGORITHMS,
    ) -> None:
        """Keep the keys of `community`, whose issuer string is `url`, in `records`."""
        self._records = records
        self.community, self._url = community, url
        self._segment = name_segment(community)
        self._keysmith, self._rules, self._means = keysmith, rules, means
        self._audit = means.audit
        self._algorithms = tuple(algorithms)
        self._known: tuple[SigningKey, ...] = ()
        self._in_use: dict[str, InUse] = {}
        self._lacking = {name: self._no_key(name) for name in algorithms}
        self._unwritten: dict[str, KeyHalves] = {}
        self._published: tuple[SigningKey, ...] = ()
        self._jwks = b'{"keys":[]}'
        self._until = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        self._silent_seconds = rules.announce_seconds + SETTLING_SECONDS
        self._read_at = float("-inf")
        self._is_damaged = False
        self._told: dict[str, tuple[SigningKey, str]] = {}

    def signing(self, algorithm: str) -> InUse:
        """Return what signs now. Raises `KeysMissing`."""
        self._keep_up()
        if self._is_silent():
            raise KeysMissing(self._silence())
        try:
            return self._in_use[algorithm]
        except KeyError:
            why = self._lacking.get(algorithm) or self._no_key(algorithm)
            raise KeysMissing(why) from None

    def published(self) -> Sequence[SigningKey]:
        """Return the keys whose signatures count now, the newest first."""
        self._keep_up()
        return self._published

    def troubles(self) -> list[str]:
        """Return in sentences what this replica lacks to sign with, which another may have."""
        self._keep_up()
        if self._is_damaged:
            return []  # no replica can read what all of them share
        if self._in_use and self._is_silent():
            return [self._silence()]
        return list(self._lacking.values())

    def _is_silent(self) -> bool:
        return self._means.clock.elapsed() - self._read_at > self._silent_seconds

    def _silence(self) -> str:
        return f"The signing keys of {self.community} could not be read for too long."

    def verifies(self, key: SigningKey, signed: bytes, signature: bytes) -> bool:
        """Return whether `key` made this signature."""
        return self._keysmith.verify(key.halves, signed, signature)

    def jwks(self) -> bytes:
        """Return the JWK set of the published keys, the newest first (RFC 7517 section 5)."""
        self._keep_up()
        return self._jwks

    # -- reading -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read the keys, and make those that are due. Raises `StoreUnavailable` kinds, `ClockOff`.

        Where the record is damaged this community has no keys until it is mended; others have theirs.
        """
        try:
            await self.read()
        except RecordDamaged as error:
            log.warning("keys_damaged", community=self.community, why=error.sentence)
            self._is_damaged = True

    async def run(self) -> None:
        """Read for ever, the first time after a pause."""
        failing = False
        while True:
            pause = READ_SECONDS * (0.75 + 0.5 * self._means.entropy.fraction())
            await self._means.clock.sleep(pause)
            try:
                await self.read()
                failing = False
            except CredbrokerError as error:
                if not failing:
                    log.warning("keys_not_read", community=self.community, why=error.sentence)
                failing = True

    async def read(self) -> None:
        """Read the keys, and make those that are due. Raises what the store, or a clock, makes it."""
        while True:
            asked_at = self._means.clock.elapsed()
            stored = await self._records.get(self._segment)
            found = stored.value if stored is not None else SigningKeys(self._url)
            self._check(found)
            self._take(joined(found.keys, self._known))
            self._read_at, self._is_damaged = asked_at, False
            self._means.check_clock()  # what follows would be by this host's time
            made = await self._made()
            after = replace(found, keys=(*self._known, *made))
            if after != found:
                try:
                    await self._write(after, stored.version if stored is not None else 0)
                except StaleVersionError:
                    continue  # another replica was first: its keys are everybody's
            for key in made:
                await self._record(key, "made")
            self._take(after.keys)
            await self._tell()
            return

    async def _write(self, after: SigningKeys, expected_version: int) -> None:
        await put_surely(
            self._records, self._segment, after, expected_version,
            is_ours=lambda found: found == after,
        )  # fmt: skip

    def _check(self, found: SigningKeys) -> None:
        if found.url != self._url:
            raise StoreMisconfigured(
                f"The signing keys of {self.community} were made for another issuer string.",
                "Give the community its former `url`, or another name.",
            )

    async def _made(self) -> list[SigningKey]:
        """Make the keys that are due; their times in whole seconds, as the record has them."""
        due = {
            name: one.make_from.replace(microsecond=0)
            for name, one in self._plans(self._known).items()
            if one.make_from is not None and name in self._algorithms
        }
        made_at = self._means.clock.now().replace(microsecond=0)
        return [
            SigningKey(
                await self._pair(algorithm),
                made_at,
                uses_from,
                self._rules.longest_seconds,
            )
            for algorithm, uses_from in due.items()
        ]

    async def _pair(self, algorithm: str) -> KeyHalves:
        """Return a pair for a new key: one that could not be written before, if there is one."""
        if algorithm not in self._unwritten:
            # In a transit engine nobody could remove those that each further try would leave.
            self._unwritten[algorithm] = await self._keysmith.make(algorithm)
        return self._unwritten[algorithm]

    # -- going by what was read ----------------------------------------------------------------

    def _plans(self, keys: Sequence[SigningKey]) -> dict[str, Plan]:
        now = self._now()
        return {name: plan(some, now, self._rules) for name, some in by_algorithm(keys).items()}

    def _now(self) -> datetime.datetime:
        """Return by when keys come and go: by a clock that is known to be off, none is over.

        Nothing is signed by it; but services would forget here what others sign with.
        """
        try:
            self._means.check_clock()
        except ClockOff:
            return _LONG_AGO
        return self._means.clock.now()

    def _keep_up(self) -> None:
        """Let a key begin or be gone at its moment, whoever reads the record when."""
        if self._now() >= self._until:
            self._take(self._known)

    def _take(self, keys: Sequence[SigningKey]) -> None:
        plans = self._plans(keys)
        self._use({name: plans[name].signs for name in self._algorithms})
        self._published = published(keys, self._now())
        self._jwks = key_set(self._published)
        self._known = tuple(key for due in plans.values() for key in due.kept)
        for key in self._known:
            pair = self._unwritten.get(key.algorithm)
            if pair is not None and pair.key_id == key.key_id:
                del self._unwritten[key.algorithm]  # written, whatever was heard of that
        self._until = min(due.until for due in plans.values())

    def _use(self, signs: Mapping[str, SigningKey | None]) -> None:
        in_use, lacking = {}, {}
        for name, key in signs.items():
            if key is None:
                lacking[name] = self._no_key(name)
                continue
            try:
                in_use[name] = self._using(name, key)
            except CredbrokerError as error:
                lacking[name] = (
                    f"The {name} key {key.key_id} of {self.community} cannot be used here:"
                    f" {error.sentence}"
                )
        self._in_use, self._lacking = in_use, lacking

    def _no_key(self, algorithm: str) -> str:
        return f"There is no {algorithm} key of {self.community} to sign with."

    def _using(self, algorithm: str, key: SigningKey) -> InUse:
        known = self._in_use.get(algorithm)
        if known is not None and known.key.key_id == key.key_id:
            return replace(known, key=key)
        return InUse(key, self._keysmith.signer(key.halves))

    # -- telling -------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Have the trail say what has changed of each key since it was last said."""
        signing = {used.key.key_id for used in self._in_use.values()}
        stages = {key.key_id: (key, self._stage(key, signing)) for key in self._known}
        gone = {name: (key, "removed") for name, (key, _) in self._told.items()}
        for name, (key, stage) in (gone | stages).items():
            if stage != self._told.get(name, (key, ""))[1]:
                await self._record(key, stage)
                self._told[name] = (key, stage)
        self._told = {name: self._told[name] for name in stages}

    def _stage(self, key: SigningKey, signing: set[str]) -> str:
        if key.withdrawn_at is not None:
            return "withdrawn"
        if key.key_id in signing:
            return "signs"
        return "announced" if key.uses_from > self._means.clock.now() else "retired"

    async def _record(self, key: SigningKey, what: str) -> None:
        await self._audit.record(
            "signing_key",
            what=what,
            community=self.community,
            iss=self._url,
            kid=key.key_id,
            alg=key.algorithm,
            uses_from=key.uses_from,
        )
