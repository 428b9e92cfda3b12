"""What a job in HTCondor does while no broker can be reached: it takes the tokens that HTCondor brings.

HTCondor keeps the files `$_CONDOR_CREDS/*.use` of a running job fresh by itself, over the connection
that it has anyway. Of those that serve what the job's lease is for, one that allows no more than that comes first,
then the one that lives longest; and only if it lives longer than what the broker gave last. The broker
is asked again within a minute.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Callable, Iterator, Optional

from credbroker.client.broker import Fetched
from credbroker.delivery.discovery import read_file
from credbroker.domain.errors import BrokerUnreachable, CredbrokerError
from credbroker.domain.tokens import allows_more, check_times, serves
from credbroker.edge.job.keeping import right_of
from credbroker.wire.jwt import read_access_token
from credbroker.wire.native import TokenGiven

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.domain.attenuation import Right
    from credbroker.domain.tokens import AccessToken
    from credbroker.edge.job.keeping import TokenSource
    from credbroker.wire.native import AskToken

FOLDER_VARIABLE = "_CONDOR_CREDS"
AGAIN_SECONDS = 60.0


class BesideCondor:
    """Asks a broker, and looks into the folder while there is none. Follows `keeping.TokenSource`."""

    def __init__(
        self, source: TokenSource, folder: Path, lease: LeaseFile, say: Callable[..., None]
    ) -> None:
        """Ask `source` first, then look into `folder` for tokens of the issuer of `lease`."""
        self._source = source
        self._folder = folder
        self._lease = lease
        self._say = say
        self._lasts_until: Optional[datetime.datetime] = None
        self._told = ""

    def now(self) -> datetime.datetime:
        """Return the time by the broker's clock."""
        return self._source.now()

    def ask_token(self, wanted: AskToken) -> Fetched:
        """Return the broker's token, or the best one here while it cannot be reached."""
        try:
            fetched = self._source.ask_token(wanted)
        except BrokerUnreachable as error:
            right = right_of(wanted)
            best = max(
                self._fit(right),
                key=lambda one: (not allows_more(one, right), one.expires_at),
                default=None,
            )
            if best is None or self._is_no_better(best):
                raise
            self._tell(best, error)
            return self._as_fetched(best)
        self._lasts_until, self._told = fetched.token.expires_at, ""
        return fetched

    def _is_no_better(self, found: AccessToken) -> bool:
        return self._lasts_until is not None and found.expires_at <= self._lasts_until

    def _tell(self, found: AccessToken, error: BrokerUnreachable) -> None:
        if self._told != found.jti:
            self._say("beside the broker", why=error.sentence, serving=f"${FOLDER_VARIABLE}")
        self._told = found.jti

    def _fit(self, right: Right) -> Iterator[AccessToken]:
        now = self.now()
        for path in sorted(self._folder.glob("*.use")):
            try:
                value = read_file(path)
                token = read_access_token(value, now) if value is not None else None
                if token is not None:
                    check_times(token, now)
            except CredbrokerError:
                continue
            if token is not None and serves(token, right) and self._is_of_issuer(token):
                yield token

    def _is_of_issuer(self, token: AccessToken) -> bool:
        return self._lease.issuer_url in {None, token.issuer_url}

    def _as_fetched(self, token: AccessToken) -> Fetched:
        again = datetime.timedelta(seconds=AGAIN_SECONDS)
        given = TokenGiven(
            access_token=token.value,
            issuer=self._lease.issuer,
            issuer_url=token.issuer_url,
            scopes=token.scopes.texts(),
            audiences=list(token.audiences),
            jti=token.jti,
            expires_at=token.expires_at,
            renew_at=self.now() + again,
        )
        return Fetched(given, token)
