"""Passes vault tokens of an earlier HTVault on to it, while the jobs that hold them still run.

Nothing that goes through is kept. A refusal is believed only when it comes again: HTCondor's credmon
deletes a person's vault token at the first one it sees, and a server that starts or is restored may
refuse everybody for a moment. After the last day that the settings name nothing is passed on.
"""

from __future__ import annotations

import datetime
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from credbroker.broker.leasing import Origin
from credbroker.broker.trail import names
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, LegacyUnavailable
from credbroker.domain.names import GrantKey
from credbroker.ports import Audit, Clock, HttpAnswer, LegacyVault, PassedOn

ANSWER_SECONDS = 9.0
SURE_SECONDS = 30.0
# A refusal that nobody heard again for so long says nothing about one that comes now.
FORGET_SECONDS = 3600.0
DEADLY = "permission denied"
MOST_REFUSALS = 10_000


@dataclass(frozen=True, slots=True)
class LegacyServer:
    """Where one issuer's people come from, and the last day (UTC) on which that is asked."""

    vault: LegacyVault
    until: datetime.date


class Legacy:
    """What is asked with vault tokens that are not ours."""

    def __init__(self, servers: Mapping[str, LegacyServer], audit: Audit, clock: Clock) -> None:
        """Pass on to `servers`, by the names of the issuers they served."""
        self._servers = servers
        self._audit = audit
        self._clock = clock
        self._refused_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def pass_on(
        self, passed_on: PassedOn, origin: Origin, *, about: GrantKey | None
    ) -> HttpAnswer:
        """Return, within `ANSWER_SECONDS`, what the HTVault answers that served the issuer.

        Without a grant that it is `about`, each HTVault is asked in turn until one knows the token.

        Raises:
            LeaseUnknown: No HTVault is asked for this.
            LegacyUnavailable: It does not answer, or its refusal is not certain yet.
            LeaseEnded: It refuses the token, `SURE_SECONDS` or more after it first did.
        """
        vaults = self._vaults(about)
        if not vaults:
            raise LeaseUnknown("This vault token is not one of this broker's.")
        answer = await self._first_that_knows(vaults, passed_on)
        self._weigh(passed_on, answer)
        await self._audit.record(
            "passed_on",
            address=origin.address,
            request_id=origin.request_id,
            method=passed_on.method,
            **(names(about) if about is not None else {}),
        )
        return answer

    def _vaults(self, about: GrantKey | None) -> list[LegacyVault]:
        """Return the servers to ask, each once, that are asked until today or longer."""
        today = self._clock.now().date()
        found = {
            server.vault.url: server.vault
            for issuer, server in self._servers.items()
            if today <= server.until and (about is None or about.issuer == issuer)
        }
        return list(found.values())

    async def _first_that_knows(self, vaults: list[LegacyVault], passed_on: PassedOn) -> HttpAnswer:
        """Ask one after the other, each within its share of what is left of the time."""
        ends = self._clock.elapsed() + ANSWER_SECONDS
        trouble: LegacyUnavailable | None = None
        answers: list[HttpAnswer] = []
        for asked, vault in enumerate(vaults):
            seconds = (ends - self._clock.elapsed()) / (len(vaults) - asked)
            try:
                answer = await vault.ask(passed_on, seconds=seconds)
            except LegacyUnavailable as error:
                trouble = error
                continue
            if answer.status < 300:
                return answer
            answers.append(answer)
        if trouble is not None:
            raise trouble
        return next((one for one in answers if not _refuses(one)), answers[-1])

    def _weigh(self, passed_on: PassedOn, answer: HttpAnswer) -> None:
        """Let a refusal through as `LeaseEnded` when it is certain, as trouble until then."""
        place = (passed_on.vault_token.digest(), passed_on.address.partition("?")[0])
        if not _refuses(answer):
            self._refused_at.pop(place, None)
            return
        if self._seconds_refused(place) < SURE_SECONDS:
            raise LegacyUnavailable(
                "The HTVault that this vault token is from refuses it; that is not certain yet."
            )
        raise LeaseEnded("The HTVault that this vault token is from refuses it for good.")

    def _seconds_refused(self, place: tuple[str, str]) -> float:
        now = self._clock.elapsed()
        first = self._refused_at.get(place)
        if first is None or now - first > FORGET_SECONDS:
            self._refused_at[place] = first = now
            self._refused_at.move_to_end(place)
        if len(self._refused_at) > MOST_REFUSALS:
            self._refused_at.popitem(last=False)
        return now - first


def _refuses(answer: HttpAnswer) -> bool:
    """Whether a credmon would take this for a refusal, by its status or by its words."""
    return answer.status == 403 or (answer.status >= 400 and DEADLY in _words(answer.body).lower())


def _words(body: bytes) -> str:
    """Return an error's words as a credmon puts them together, or nothing where it finds none."""
    try:
        texts = json.loads(body)["errors"]
        return " ".join(str(text).encode("ascii", "ignore").decode() for text in texts)
    except (ValueError, TypeError, LookupError, RecursionError):
        return ""
