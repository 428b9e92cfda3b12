"""The life of the keys that a community's tokens are signed with: announced, used, retired, gone.

Once there is a key, exactly one of an algorithm signs at any moment. A key signs only after it was
announced for long enough that whoever caches the keys knows it; the first one, which nobody could
announce, signs at once. A key stays published until the last token that it may have signed is over.
A withdrawn key is as if it had never been, whatever follows from that, and stays known as withdrawn
for good: whoever missed the withdrawal would else bring it back.

One key signs from its own beginning to its successor's, so that no moment lies between them.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import Iterable, Mapping, Optional, Sequence

from credbroker.domain.errors import NotFound
from credbroker.domain.secret import Secret

ALGORITHMS = ("RS256", "ES256")
"""Every community has a key of each: one that an audience wants tomorrow is announced by then."""

SETTLING_SECONDS = 120.0
"""By then every replica has read what one has written, whatever their clocks differ by."""

_FAR = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)


@dataclass(frozen=True)
class KeyHalves:
    """A pair of keys; `key_id` is the thumbprint of its public half (RFC 7638).

    `public` is the public half as a JWK in JSON. The private half is `private` (PKCS8, PEM), or lies
    in a transit engine under the name `remote`.
    """

    key_id: str
    algorithm: str
    public: str
    private: Optional[Secret] = None
    remote: str = ""


@dataclass(frozen=True)
class SigningKey:
    """A pair and its times: tokens that it signs live no longer than `token_seconds`."""

    halves: KeyHalves
    made_at: datetime.datetime
    uses_from: datetime.datetime
    token_seconds: float
    withdrawn_at: Optional[datetime.datetime] = None

    @property
    def key_id(self) -> str:
        """The `kid` of tokens that it signs."""
        return self.halves.key_id

    @property
    def algorithm(self) -> str:
        """The `alg` of tokens that it signs."""
        return self.halves.algorithm


@dataclass(frozen=True)
class SigningKeys:
    """All keys of one community, whose issuer string is `url`."""

    url: str
    keys: tuple[SigningKey, ...] = ()


@dataclass(frozen=True)
class KeyRules:
    """What the settings say, in seconds; `longest_seconds` is the longest life of any token."""

    announce_seconds: float
    use_seconds: float
    longest_seconds: float


@dataclass(frozen=True)
class Plan:
    """What is to be done with the keys of one algorithm, until `until`, and not longer."""

    signs: Optional[SigningKey]
    kept: tuple[SigningKey, ...]
    """What the record goes on to hold: the keys that are published, and those withdrawn."""
    make_from: Optional[datetime.datetime]
    """A key is to be made that signs from then on; None if there is nothing to make."""
    until: datetime.datetime


def plan(keys: Iterable[SigningKey], now: datetime.datetime, rules: KeyRules) -> Plan:
    """Say what is to be done `now` with the keys of one algorithm.

    Tokens of a key live up to `rules.longest_seconds` from here on, if that is more than before.
    """
    known = [_allowing(key, rules.longest_seconds) for key in keys]
    living = _living(known)
    gone = _gone(living)
    needed = tuple(key for key, end in zip(living, gone) if now < end)
    ended = tuple(key for key in known if key.withdrawn_at is not None)
    changes = [*(key.uses_from for key in living), *gone]
    return Plan(
        signs=_signs(living, now),
        kept=needed + ended,
        make_from=_next_from(living, now, rules),
        until=min((at for at in changes if at > now), default=_FAR),
    )


def signs(keys: Iterable[SigningKey], now: datetime.datetime) -> Optional[SigningKey]:
    """Return which key of one algorithm signs `now`; None if one must be made first."""
    return _signs(_living(keys), now)


def published(keys: Iterable[SigningKey], now: datetime.datetime) -> tuple[SigningKey, ...]:
    """Return the keys of all algorithms whose signatures count `now`, the newest first."""
    found = [
        key
        for some in by_algorithm(keys).values()
        for living in [_living(some)]
        for key, end in zip(living, _gone(living))
        if now < end
    ]
    return tuple(sorted(found, key=lambda key: key.uses_from, reverse=True))


def joined(found: Sequence[SigningKey], known: Iterable[SigningKey]) -> tuple[SigningKey, ...]:
    """Return the keys of a record, and those known from before that it lacks.

    What was published once is needed until its end, also where the store was set back in time. A
    withdrawal counts wherever it is written.
    """
    both = {key.key_id: key for key in known}
    for key in found:
        other = both.get(key.key_id, key)
        both[key.key_id] = replace(
            _allowing(key, other.token_seconds), withdrawn_at=key.withdrawn_at or other.withdrawn_at
        )
    return tuple(both.values())


def withdraw(keys: SigningKeys, key_id: str, at: datetime.datetime) -> SigningKeys:
    """Return the keys with this one withdrawn, and without the private half that it had here.

    An earlier withdrawal stays as it is. Raises `NotFound` for a key that is not among them.
    """
    if key_id not in {key.key_id for key in keys.keys}:
        raise NotFound(
            f"There is no key {key_id[:64]!r} among those of {keys.url}.",
            f"Its keys are {', '.join(key.key_id for key in keys.keys)}.",
        )
    return replace(
        keys,
        keys=tuple(_ended(key, at) if key.key_id == key_id else key for key in keys.keys),
    )


def by_algorithm(keys: Iterable[SigningKey]) -> Mapping[str, list[SigningKey]]:
    """Sort keys by what they sign with."""
    found: dict[str, list[SigningKey]] = {algorithm: [] for algorithm in ALGORITHMS}
    for key in keys:
        found.setdefault(key.algorithm, []).append(key)
    return found


def _ended(key: SigningKey, at: datetime.datetime) -> SigningKey:
    return replace(
        key, halves=replace(key.halves, private=None), withdrawn_at=key.withdrawn_at or at
    )


def _living(keys: Iterable[SigningKey]) -> list[SigningKey]:
    """Return the keys of one algorithm that are not withdrawn, in the order in which they sign."""
    living = [key for key in keys if key.withdrawn_at is None]
    return sorted(living, key=lambda key: (key.uses_from, key.key_id))


def _signs(living: Sequence[SigningKey], now: datetime.datetime) -> Optional[SigningKey]:
    begun = [key for key in living if key.uses_from <= now]
    # Where a withdrawal left none that has begun, the next one begins before its time.
    return begun[-1] if begun else next(iter(living), None)


def _gone(living: Sequence[SigningKey]) -> list[datetime.datetime]:
    """Return when nothing is left of what each has signed, up to its successor's beginning."""
    last = len(living) - 1
    return [
        _over(key, living[at + 1].uses_from) if at < last else _FAR for at, key in enumerate(living)
    ]


def _over(key: SigningKey, end: datetime.datetime) -> datetime.datetime:
    """Return when the last token is over that a key signed, which signed until `end`."""
    return end + datetime.timedelta(seconds=key.token_seconds + SETTLING_SECONDS)


def _next_from(
    living: Sequence[SigningKey], now: datetime.datetime, rules: KeyRules
) -> Optional[datetime.datetime]:
    """Return from when a key signs that is to be made now; None if it is too early for one."""
    if not living:
        return now
    due = living[-1].uses_from + datetime.timedelta(seconds=rules.use_seconds)
    announced = now + datetime.timedelta(seconds=rules.announce_seconds + SETTLING_SECONDS)
    return max(due, announced) if due <= announced else None


def _allowing(key: SigningKey, seconds: float) -> SigningKey:
    return key if key.token_seconds >= seconds else replace(key, token_seconds=seconds)
