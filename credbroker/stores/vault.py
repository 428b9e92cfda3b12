"""A thin client for the few calls that credbroker makes to OpenBao or Vault.

What it guarantees: writes go out once, by POST; an answer that leaves a write unclear is called
`StoreUnclear` and nothing else is; a refused token leads to one new login and one more try, unless
a login was tried a moment ago, so that what a policy denies causes no storm of logins; with
several addresses it talks to the active node, since standbys answer reads from a stale state, and
looks every few seconds which one that is. An address that redirects, or cannot serve, is left for
the next one. While none serves, as when a
leader has died, requests wait up to `FAILOVER_SECONDS` for one that does; logins do not. What became
of an unclear write is asked of an active node alone. With every answer it compares this host's clock
with the server's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from credbroker.domain.errors import (
    ClockOff,
    Misconfigured,
    StoreMisconfigured,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.retry import backoff_seconds
from credbroker.domain.secret import Secret
from credbroker.ports import (
    Clock,
    Entropy,
    HttpAnswer,
    HttpDoor,
    NoAnswerError,
    NotSentError,
)
from credbroker.stores.lookout import Lookout
from credbroker.stores.vault_answers import cannot_serve, checked, json_of, seconds_off
from credbroker.stores.vault_logins import Login

_DENIED = "OpenBao/Vault does not let the broker do what it must."
# A token is renewed after this part of its life, which leaves time for several tries.
_RENEW_AFTER = 0.5
# A renewal that gives less than this part of a full life says that the longest life is near.
_WORTH_KEEPING = 0.75
_LONGEST_SLEEP_SECONDS = 600.0
# A request that is denied leads to no login so soon after the last one, good or bad.
LOGIN_PAUSE_SECONDS = 10.0
# Three nodes have a new leader after a few; whoever asks the broker is to be answered within 9.
FAILOVER_SECONDS = 8.0
# A node that is well says so at once.
_LOOK_SECONDS = 1.0
# A leader that hands over passes requests on, so that nobody notices.
LOOK_AGAIN_SECONDS = 5.0
# This host's clock may be so far from the server's.
MOST_SECONDS_OFF = 60.0
# Vault knows no pages: a million names of 43 letters must come through in one answer.
_MOST_LISTED_BYTES = 64 << 20


class VaultClient:
    """Asks one OpenBao or Vault cluster, under the broker's login."""

    def __init__(
        self,
        door: HttpDoor,
        addresses: Sequence[str],
        login: Login,
        *,
        clock: Clock,
        entropy: Entropy,
        seconds: float,
    ) -> None:
        """Talk to `addresses` (base URLs of one cluster's nodes); a call may take `seconds`."""
        self._door = door
        self._addresses = [address.rstrip("/") for address in addresses]
        self._login = login
        self._clock = clock
        self._entropy = entropy
        self._seconds = seconds
        self._token: Secret | None = None
        self._token_seconds = 0.0
        self._full_seconds = 0.0
        self._index: str | None = None
        self._refused = False
        self._last_failure = "no node of it is active"
        self._login_tried_at = float("-inf")
        self._login_answered = False
        self._login_lock = asyncio.Lock()
        self._lookout = Lookout(self._find_active, clock)
        self._look_at = 0.0
        self._unsure = False
        self._seconds_off = 0.0

    async def get(self, path: str) -> HttpAnswer | None:
        """Read `path`; None where there is nothing. Raises `StoreUnavailable` and its like."""
        answer = await self._asked("GET", path, None)
        if answer.status == 404:
            return None
        return checked(answer)

    async def listed(self, path: str, after: str, limit: int) -> list[str]:
        """Return the names below `path`, in order, from the first one past `after`.

        OpenBao gives at most `limit`; Vault knows no pages and gives all of them.
        """
        page = urlencode({"list": "true", "after": after, "limit": limit})
        answer = await self._asked("LIST", f"{path}?{page}", None)
        if answer.status == 404:
            return []
        found = json_of(checked(answer)).get("data")
        keys = found.get("keys") if isinstance(found, dict) else None
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise StoreUnavailable("OpenBao/Vault answered a listing without names.")
        return sorted(key for key in keys if key > after)

    async def post(self, path: str, body: Mapping[str, object]) -> HttpAnswer:
        """Write to `path`. Raises `StaleVersionError`, `StoreUnclear`, `StoreUnavailable`."""
        try:
            answer = checked(
                await self._asked("POST", path, json.dumps(body).encode()), writing=True
            )
        except StoreUnclear:
            self._unsure = True
            raise
        self._index = answer.headers.get("x-vault-index", self._index)
        return answer

    async def delete(self, path: str) -> None:
        """Delete what is at `path`; nothing there is as good. Raises as `get` does."""
        answer = await self._asked("DELETE", path, None)
        if answer.status != 404:
            checked(answer)

    async def log_in(self) -> None:
        """Get a new token by the login; raise `StoreMisconfigured` if the login is refused."""
        self._login_tried_at, self._login_answered = self._clock.elapsed(), False
        await self._look_again()
        path = f"auth/{self._login.mount}/login"
        answer = await self._sent("POST", path, json.dumps(self._login.body()).encode(), None)
        self._refused = answer.status in {400, 403}
        self._login_answered = self._refused or answer.status == 200
        if self._refused:
            raise StoreMisconfigured(
                f"OpenBao/Vault refuses the broker's {self._login.name} login."
            )
        self._take_token(checked(answer))
        self._full_seconds = self._token_seconds

    @property
    def seconds_off(self) -> float:
        """How far this host's clock was last seen ahead of the server's; negative if it is behind."""
        return self._seconds_off

    def check_clock(self) -> None:
        """Raise `ClockOff` if this host's clock was last seen too far from the server's."""
        off = self._seconds_off
        if abs(off) > MOST_SECONDS_OFF:
            way = "ahead of" if off > 0 else "behind"
            raise ClockOff(f"This replica's clock is {abs(off):.0f} s {way} OpenBao/Vault's.")

    def troubles(self) -> list[str]:
        """Return in sentences what is wrong with this replica's own login or clock, if anything."""
        found = ["OpenBao/Vault refuses this replica's login."] if self._refused else []
        try:
            self.check_clock()
        except ClockOff as error:
            found.append(error.sentence)
        return found

    async def stay_logged_in(self) -> None:
        """Renew the token for ever, and log in again when it cannot be renewed any more."""
        failures = 0
        while True:
            # A lifetime of 0 means that the token never ends.
            life = self._token_seconds or float("inf")
            pause = min(life * _RENEW_AFTER, _LONGEST_SLEEP_SECONDS)
            if failures:
                pause = min(backoff_seconds(failures, self._entropy.fraction()), max(pause, 1.0))
            await self._clock.sleep(max(pause, 0.5))
            try:
                await self._renew()
                failures = 0
            except (StoreUnavailable, Misconfigured):
                failures += 1  # the token in hand stays in use; its own end is what counts

    async def _renew(self) -> None:
        """Renew the token, or log in anew once its full life comes near."""
        answer = await self._sent("POST", "auth/token/renew-self", b"{}", self._token)
        if answer.status in {400, 403, 404}:
            await self.log_in()
            return
        self._take_token(checked(answer))
        if self._token_seconds < self._full_seconds * _WORTH_KEEPING:
            await self.log_in()

    def _take_token(self, answer: HttpAnswer) -> None:
        auth = json_of(answer).get("auth") or {}
        token, seconds = auth.get("client_token"), auth.get("lease_duration")
        if not isinstance(token, str) or not isinstance(seconds, int | float):
            raise StoreUnavailable("OpenBao/Vault answered a login without a token.")
        self._token, self._token_seconds = Secret("Vault token", token), float(seconds)

    async def _asked(self, method: str, path: str, body: bytes | None) -> HttpAnswer:
        used = self._token
        answer = await self._awaited(method, path, body, used)
        if answer.status != 403:
            return answer
        # Refused means not carried out, so after a new login the same request may go out again.
        async with self._login_lock:
            if self._token is used:
                await self._log_in_anew()
        answer = await self._awaited(method, path, body, self._token)
        if answer.status == 403:
            raise StoreMisconfigured(_DENIED)
        return answer

    async def _log_in_anew(self) -> None:
        """Log in after a denied request; raise at once if the last login is too recent."""
        if self._clock.elapsed() - self._login_tried_at >= LOGIN_PAUSE_SECONDS:
            await self.log_in()
        elif self._login_answered:
            raise StoreMisconfigured(_DENIED)
        else:
            raise StoreUnavailable("OpenBao/Vault did not answer a login a moment ago.")

    async def _awaited(
        self, method: str, path: str, body: bytes | None, token: Secret | None
    ) -> HttpAnswer:
        """Send to the first address that serves; while none does, wait for one."""
        until = self._clock.elapsed() + FAILOVER_SECONDS
        if self._unsure and not await self._find_active():
            # A standby would answer a read, and fail at every write, for as long as none leads.
            self._unsure = await self._lookout.wait(until) and self._unsure
        await self._look_again()
        while (answer := await self._passed_round(method, path, body, token)) is None:
            if not await self._lookout.wait(until):
                raise self._unreachable()
        self._lookout.seen()
        return answer

    async def _sent(
        self, method: str, path: str, body: bytes | None, token: Secret | None
    ) -> HttpAnswer:
        """Send to the first address that serves, now."""
        answer = await self._passed_round(method, path, body, token)
        if answer is None:
            raise self._unreachable()
        return answer

    async def _passed_round(
        self, method: str, path: str, body: bytes | None, token: Secret | None
    ) -> HttpAnswer | None:
        """Try one address after the other; move those that do not serve to the end."""
        headers = self._headers(token)
        for address in tuple(self._addresses):
            url = f"{address}/v1/{path}"
            answer = await self._tried(method, url, body, headers, seconds=self._seconds)
            if answer is not None and not cannot_serve(answer, writing=body is not None):
                return answer
            if answer is not None:
                self._last_failure = "it is sealed, starting, busy or without a leader"
            self._addresses.remove(address)
            self._addresses.append(address)
            self._look_at = 0.0
        return None

    def _headers(self, token: Secret | None) -> dict[str, str]:
        """Return what every request but a look at a node's health carries."""
        headers = {"Accept": "application/json", "X-Vault-Request": "true"}
        if token is not None:
            headers["X-Vault-Token"] = token.reveal()
        if self._index is not None:
            # Else a standby that lags answers from its state, and refuses writes to newer versions.
            headers |= {
                "X-Vault-Index": self._index,
                "X-Vault-Inconsistent": "forward-active-node",
            }
        return headers

    def _unreachable(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"OpenBao/Vault at {self._addresses[0]} cannot be reached: {self._last_failure}.",
            "Check vault.addresses and vault.ca_file if it stays so; delivered tokens stay valid.",
        )

    async def _tried(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float,
    ) -> HttpAnswer | None:
        """Send once; None if no answer came and nothing was written."""
        asked_at = self._clock.now()
        try:
            if method == "LIST":
                answer = await self._door.get(
                    url, headers=headers, seconds=seconds, most_bytes=_MOST_LISTED_BYTES
                )
            elif method == "DELETE":
                answer = await self._door.pass_on(
                    method, url, b"", headers=headers or {}, seconds=seconds
                )
            elif body is None:
                answer = await self._door.get(url, headers=headers, seconds=seconds)
            else:
                sent = {**(headers or {}), "Content-Type": "application/json"}
                answer = await self._door.post(url, body, headers=sent, seconds=seconds)
        except NotSentError as error:
            self._last_failure = str(error) or "no connection came about"
            return None
        except NoAnswerError as error:
            if body is None:
                self._last_failure = "it did not answer"
                return None
            raise StoreUnclear("OpenBao/Vault took a write and did not answer.") from error
        off = seconds_off(answer, asked_at, self._clock.now())
        self._seconds_off = self._seconds_off if off is None else off
        return answer

    async def _look_again(self) -> None:
        """Look for the active node, if there are several and it is time."""
        if len(self._addresses) > 1 and self._clock.elapsed() >= self._look_at:
            await self._find_active()

    async def _find_active(self) -> bool:
        """Put the active node's address first; tell if there is one, or a lone one that passes on."""
        self._look_at = self._clock.elapsed() + LOOK_AGAIN_SECONDS
        well = {200, 429, 473} if len(self._addresses) == 1 else {200}
        for address in tuple(self._addresses):
            url = f"{address}/v1/sys/health"
            answer = await self._tried("GET", url, None, seconds=_LOOK_SECONDS)
            if answer is not None and answer.status in well:
                self._addresses.remove(address)
                self._addresses.insert(0, address)
                self._unsure = False
                return True
        return False
