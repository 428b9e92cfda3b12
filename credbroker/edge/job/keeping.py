"""Keeps the token file of one job fresh for as long as the job runs.

A good token in the file is never touched before a better one is there to take its place: whatever
fails, a log that cannot be written included, the file stays and the agent tries again. It ends when
it is told to (the file stays), when the watched program is gone (the file goes, if it is the one
written here), or when its lease is over or was refused from the start (the file stays until the
token in it expires).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Optional, Protocol

from credbroker.delivery import token_file, whole_file
from credbroker.delivery.lease_file import naming_the_login
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    CredbrokerError,
    GrantLost,
    LocalFileUnfit,
    Refused,
)
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import allows_more
from credbroker.edge.plan import Failed, Held, Sleep, Stop, next_step
from credbroker.wire.fields import write_instant
from credbroker.wire.native import AskToken

if TYPE_CHECKING:
    import datetime
    from pathlib import Path

    from credbroker.client.blocking import BlockingClock
    from credbroker.client.broker import Fetched
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.domain.tokens import AccessToken
    from credbroker.ports import Entropy

SLICE_SECONDS = 1.0
"""How long a wait may go without a look at the clock and at the watched program."""


class TokenSource(Protocol):
    """Whoever gives tokens; `client.broker.Broker` is the real one."""

    def ask_token(self, wanted: AskToken) -> Fetched:
        """Return a token that serves what is asked for."""

    def now(self) -> datetime.datetime:
        """Return the time by the source's own clock."""


@dataclass(frozen=True)
class Delivered:
    """What the agent itself put into the file last: the token, and which file that made."""

    token: AccessToken
    file: whole_file.Identity


@dataclass
class Agent:
    """One job's agent; `run` is its whole life."""

    source: TokenSource
    lease: LeaseFile
    path: Path
    clock: BlockingClock
    entropy: Entropy
    say: Callable[..., None]
    job_runs: Callable[[], bool] = lambda: True
    on_ready: Callable[[], None] = lambda: None
    """Called once, when the first token is in the file."""
    wanted: Optional[AskToken] = None
    """What to ask for; None for what the lease of a job says, or all that another one allows."""
    held: Optional[Held] = None
    failed: Optional[Failed] = None
    delivered: Optional[Delivered] = None
    spread: float = field(default=0.0)

    def run(self) -> None:
        """Keep the file fresh until the job is over; then the file written here is gone.

        Raises:
            CredbrokerError: No token can be had any more; the file is as it was.
        """
        while self.job_runs():
            step = next_step(self.clock.elapsed(), self.held, self.failed, self.spread)
            if isinstance(step, Stop):
                raise step.error
            if isinstance(step, Sleep):
                self.clock.block(min(step.seconds, SLICE_SECONDS))
            else:
                self._renew()
        self.leave()

    def go_on_under(self, lease: LeaseFile) -> None:
        """Go by another lease from now on: the source asks under it, and its end is what counts."""
        self.lease = lease

    def leave(self) -> None:
        """Take the file away, if it is the one written here and that can be done: the job is over."""
        gone, why = False, None
        try:
            gone = self.delivered is not None and whole_file.remove(self.path, self.delivered.file)
        except LocalFileUnfit as unfit:
            why = unfit.sentence
        self.say("job over", removed=str(self.path) if gone else None, why=why)

    def _renew(self) -> None:
        self.spread = self.entropy.fraction()
        wanted = self.wanted or _whole_wish(self.lease)
        try:
            with naming_the_login(self.lease):
                fetched = self.source.ask_token(wanted)
            before = self.delivered
            kept = self._kept_for(fetched.token, right_of(wanted))
            self.delivered = kept or self._deliver(fetched.token)
        except CredbrokerError as error:
            self._note_failure(error)
        else:
            self._note_success(fetched, before, self.delivered)

    def _kept_for(self, new: AccessToken, right: Right) -> Optional[Delivered]:
        """Return what is in the file if it is ours and lives as long as `new` or longer.

        A replica that has not seen the last refresh yet may answer with an older token. What allows
        more than `right` makes room for what does not, however long it lives.
        """
        held = self.delivered
        if held is None or new.expires_at > held.token.expires_at:
            return None
        if allows_more(held.token, right) and not allows_more(new, right):
            return None
        return held if token_file.holds(self.path, held.token.value) else None

    def _deliver(self, new: AccessToken) -> Delivered:
        return Delivered(new, token_file.write(self.path, new.value, self.entropy))

    def _note_failure(self, error: CredbrokerError) -> None:
        if isinstance(error, LocalFileUnfit) and self.held is None:
            raise error  # a wrong path is best said at once; a full disk later on may pass
        times = 1 if self.failed is None else self.failed.times + 1
        over = self.source.now() >= self.lease.lease_ends_at
        self.failed = Failed(times, self.clock.elapsed(), error, over)
        left = None if self.held is None else round(self.held.expires_at - self.clock.elapsed())
        is_ones_turn = isinstance(error, (GrantLost, LocalFileUnfit, Refused))
        self.say(
            "kept",
            why=error.sentence,
            remedy=error.remedy if is_ones_turn else None,
            seconds_left=left,
            failures=times,
            request=error.request_id,
        )

    def _note_success(
        self, fetched: Fetched, before: Optional[Delivered], delivered: Delivered
    ) -> None:
        fetched_at, now, token = self.clock.elapsed(), self.source.now(), delivered.token
        self.failed = None
        self.held = Held(
            fetched_at=fetched_at,
            renew_at=fetched_at + (fetched.given.renew_at - now).total_seconds(),
            expires_at=fetched_at + token.seconds_left(now),
        )
        event = "ready" if before is None else "unchanged" if delivered is before else "renewed"
        expires_at = write_instant(token.expires_at)
        self.say(event, token_file=str(self.path), jti=token.jti, expires=expires_at)
        if before is None:
            self.on_ready()


def _whole_wish(lease: LeaseFile) -> AskToken:
    return AskToken(lease.scopes, lease.audiences) if lease.job else AskToken()


def right_of(wanted: AskToken) -> Right:
    """Return the right that a token for this wish must give."""
    return Right(ScopeSet.of(wanted.scopes or ()).rights(), tuple(wanted.audiences or ()))
