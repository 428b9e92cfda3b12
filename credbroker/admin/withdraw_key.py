"""`credbroker admin withdraw-key`: ends a community's signing key that may be in other hands.

Every broker goes by it within a minute: it signs with the key no more, publishes it no more, and takes
no token of it. Another key signs at once: the one that is announced, the one before, or a new one.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from credbroker.admin.office import Office
from credbroker.admin.policy import community_of
from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.storing import put_surely
from credbroker.domain.errors import KeysMissing
from credbroker.domain.signing_keys import SigningKey, SigningKeys, by_algorithm, signs, withdraw
from credbroker.ports import StaleVersionError, Stored


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Which key of which community to withdraw, and why."""

    community: str
    key_id: str
    reason: str = ""


async def rehearse_withdrawal(office: Office, wanted: Withdrawal) -> None:
    """Tell what the key does, and what would sign without it; nothing is changed.

    Raises `NotFound` for a community or key that there is not, `KeysMissing` for a community without
    keys, and `StoreUnavailable` kinds.
    """
    before = (await _stored(office, wanted.community)).value
    now = office.means.clock.now()
    after = withdraw(before, wanted.key_id, now)
    key = _key(before, wanted.key_id)
    office.desk.answer(f"Key {key.key_id} of {wanted.community} would be withdrawn.")
    office.desk.say(f"It is {_what(key, before, now)}, and signs by {key.algorithm}.")
    _tell(office, after, key.algorithm)


async def withdraw_key(office: Office, wanted: Withdrawal) -> None:
    """Withdraw the key, for good; again is as good as once.

    Raises as `rehearse_withdrawal` does, and `ClockOff`.
    """
    while True:
        stored = await _stored(office, wanted.community)
        office.means.check_clock()  # what is stored is this host's time
        now = office.means.clock.now().replace(microsecond=0)
        after = withdraw(stored.value, wanted.key_id, now)
        try:
            await put_surely(
                office.signing_keys, name_segment(wanted.community), after, stored.version,
                is_ours=lambda found: found == after,  # noqa: B023 - used before the next
            )  # fmt: skip
        except StaleVersionError:
            continue  # a broker has made a key meanwhile: withdraw among what is there now
        break
    key = _key(after, wanted.key_id)
    await office.means.audit.record(
        "signing_key",
        what="withdrawn",
        community=wanted.community,
        iss=after.url,
        kid=key.key_id,
        alg=key.algorithm,
        uses_from=key.uses_from,
        reason=wanted.reason or None,
    )
    office.desk.answer(f"Key {key.key_id} of {wanted.community} is withdrawn.")
    office.desk.say(
        "Within a minute no broker signs with it, publishes it or accepts what it signed."
    )
    _tell(office, after, key.algorithm)


async def _stored(office: Office, community: str) -> Stored[SigningKeys]:
    community_of(office.settings, community)
    stored = await office.signing_keys.get(name_segment(community))
    if stored is None:
        raise KeysMissing(f"The community {community} has no keys.")
    return stored


def _key(keys: SigningKeys, key_id: str) -> SigningKey:
    return next(key for key in keys.keys if key.key_id == key_id)


def _what(key: SigningKey, keys: SigningKeys, now: datetime.datetime) -> str:
    if key.withdrawn_at is not None:
        return f"withdrawn since {key.withdrawn_at:%Y-%m-%d %H:%M:%S} UTC"
    if key == signs(by_algorithm(keys.keys)[key.algorithm], now):
        return "the key that signs now"
    return "announced" if key.uses_from > now else "retired"


def _tell(office: Office, after: SigningKeys, algorithm: str) -> None:
    """Tell what signs from then on, and what is left that may have been stolen with the key."""
    now, desk = office.means.clock.now(), office.desk
    successor = signs(by_algorithm(after.keys)[algorithm], now)
    by = "a new key, made within a minute" if successor is None else f"key {successor.key_id}"
    desk.say(f"By {algorithm} then signs {by}.")
    desk.say(
        "Services take tokens of the withdrawn key for as long as they keep the keys they know."
    )
    left = [key.key_id for key in after.keys if key.withdrawn_at is None]
    if left:
        desk.say(f"Not withdrawn: {', '.join(left)}. Who read the record of keys has those too.")
