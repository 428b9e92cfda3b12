"""What htgettoken does: finds a vault token or logs in for one, reads a bearer token, puts both down.

The ways to a vault token are tried in htgettoken's order: the one that is kept, a Kerberos ticket, an ssh
key, a browser. One that leads nowhere is told and left for the next; if none is left, the last one's
reason is raised. Where the server is away, or asks for patience, no other way would help, and a person
is not asked to log in; nor where what the login gives could not be kept. What was there stays until the
new one is there.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, List, Optional, Tuple, TypeVar

from credbroker.cli.desk import plain
from credbroker.cli.htgettoken.browser import LOGIN_SECONDS, log_in_by_browser
from credbroker.cli.htgettoken.places import Files, files_of, server_of, url_of
from credbroker.cli.htgettoken.silent import (
    ENDS,
    log_in_by_key,
    log_in_by_ticket,
    register_keys,
)
from credbroker.cli.turns import turn
from credbroker.client.vault_server import LoggedIn, VaultServer
from credbroker.delivery import vault_files
from credbroker.domain.errors import (
    CredbrokerError,
    LocalFileUnfit,
    LoginExpired,
    LoginNeeded,
    Malformed,
)

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk
    from credbroker.cli.htgettoken.options import Options
    from credbroker.cli.htgettoken.places import Reach
    from credbroker.domain.secret import Secret

_NARROWED = ("/creds/", "/sts/")
_REGISTERS = "sshregister"

T = TypeVar("T")


@dataclass(frozen=True)
class Held:
    """A vault token, and whether it still has to be put down."""

    vault_token: Secret
    is_new: bool


def obtain(options: Options, desk: Desk, reach: Reach) -> Optional[Secret]:
    """Do what htgettoken was asked for; return the bearer token, if one was wanted.

    Raises:
        CredbrokerError: No way led to a token; the reason is the last one's.
    """
    if options.least_vault_seconds >= options.vault_seconds:
        raise Malformed(
            "--vaulttokenminttl must be less than --vaulttokenttl.", "Mend one of them."
        )
    errand = _Errand(options, desk, reach)
    try:
        return errand.run()
    finally:
        # After all tokens, as readers of a pipe expect it.
        if options.showbearerurl and errand.shown_url:
            desk.answer(plain(errand.shown_url))


def bearer_url(options: Options, desk: Desk) -> Optional[str]:
    """Return the address that tokens are read at; None if nobody knows whose login it is."""
    credkey = options.credkey or _remembered(files_of(options, desk.environ, desk.euid))
    return None if credkey is None else _url(options, credkey)


def secret_path(options: Options, credkey: str) -> str:
    """Return the path that tokens of this login are stored under."""
    return options.filled(options.secretpath).replace("%credkey", credkey)


def _url(options: Options, credkey: str) -> str:
    return f"{url_of(server_of(options))}/v1/{_read_path(options, credkey)}"


def _read_path(options: Options, credkey: str) -> str:
    path = secret_path(options, credkey)
    is_narrow = options.scopes is not None or options.audience is not None
    return path.replace(*_NARROWED) if is_narrow else path


def _remembered(files: Files) -> Optional[str]:
    try:
        return vault_files.read_credkey(files.credkey)
    except LocalFileUnfit:
        return None


class _Errand:
    """One call of htgettoken; `shown_url` is where its token is read, once a vault token was found."""

    def __init__(self, options: Options, desk: Desk, reach: Reach) -> None:
        self._options, self._desk = options, desk
        self._files = files_of(options, desk.environ, desk.euid)
        self._server = VaultServer(
            reach(server_of(options), desk.clock, options, desk.environ), self._debug
        )
        self._credkey = options.credkey or _remembered(self._files)
        self._reason: Optional[CredbrokerError] = None
        self.shown_url: Optional[str] = None

    def run(self) -> Optional[Secret]:
        if self._options.nobearertoken and self._options.showbearerurl and self._credkey is None:
            raise LoginNeeded("The address cannot be told: it is not known whose login it is.")
        for name, way in self._ways():
            held = self._tried(name, way)
            if held is None:
                continue
            if self._credkey is not None:
                self.shown_url = _url(self._options, self._credkey)
            if self._options.nobearertoken:
                self._put_vault_token(held)
                return None
            bearer = self._tried("reading the token", functools.partial(self._read, held))
            if bearer is not None:
                self._put_vault_token(held)
                self._say(f"Storing bearer token in {self._files.bearer}")
                self._put(self._files.bearer, bearer)
                return bearer
        raise self._reason or self._no_way()

    def _ways(self) -> List[Tuple[str, Callable[[], Optional[Held]]]]:
        """Return the ways that may be gone; all but the browser need to know whose login it is."""
        by_ticket, by_key, by_browser = self._options.may
        ways: List[Tuple[str, Callable[[], Optional[Held]]]] = []
        if self._credkey is not None or self._options.nobearertoken:
            if not self._options.registerssh:
                ways.append(("the kept vault token", self._kept))
            if by_ticket:
                ways.append(("Kerberos", self._by_ticket))
            if by_key:
                ways.append(("ssh-agent", self._by_key))
        if by_browser and self._is_attended():
            ways.append(("the login by browser", self._by_browser))
        return ways

    def _tried(self, name: str, deed: Callable[[], Optional[T]]) -> Optional[T]:
        """Return what `deed` gives; None if the server will not, and its reason is kept."""
        try:
            return deed()
        except ENDS:
            raise
        except CredbrokerError as stopped:
            self._reason = stopped
            self._detail(f"{name} failed: {stopped.sentence}")
            return None

    def _here(self, name: str, deed: Callable[[], Optional[T]]) -> Optional[T]:
        """Return what `deed` finds on this machine; None if that is unfit, which is no more than told."""
        try:
            return deed()
        except LocalFileUnfit as unfit:
            self._detail(f"{name}: {unfit.sentence}")
            return None

    def _kept(self) -> Optional[Held]:
        path = self._files.vault_in
        if path is None:
            return None
        reading = functools.partial(vault_files.read_vault_token, path, self._desk.inp)
        vault_token = self._here("Vault token", reading)
        if vault_token is None:
            return None
        if self._files.is_handed_over:
            shorter = self._server.shorten(vault_token, self._options.vault_seconds, None)
            self._put(self._files.vault, shorter)
            return Held(shorter, is_new=False)
        if self._options.nobearertoken and not self._options.showbearerurl:
            return None
        if self._options.least_vault_seconds and not self._lasts(vault_token):
            return None
        self._detail(f"Attempting to get bearer token\n  using vault token from {path}")
        return Held(vault_token, is_new=False)

    def _lasts(self, vault_token: Secret) -> bool:
        left = self._server.seconds_left(vault_token)
        self._detail(f"  {left:.0f} seconds remaining")
        return left >= self._options.least_vault_seconds

    def _by_ticket(self) -> Optional[Held]:
        asking = functools.partial(log_in_by_ticket, self._options, self._server, self._detail)
        return self._fitted(self._here("Kerberos init failed", asking))

    def _by_key(self) -> Optional[Held]:
        asking = functools.partial(
            log_in_by_key,
            self._options,
            self._server,
            self._credkey,
            self._desk.environ,
            self._detail,
        )
        return self._fitted(self._here("ssh-agent", asking))

    def _by_browser(self) -> Optional[Held]:
        """Of callers that begin together one asks the person; the others use what came of it."""
        with contextlib.ExitStack() as held:
            waited = self._took_turn(held)
            self._credkey = self._credkey or _remembered(self._files)
            may_share = waited and self._credkey is not None and not self._options.registerssh
            return (self._kept() if may_share else None) or self._asking_the_person()

    def _took_turn(self, held: contextlib.ExitStack) -> bool:
        """Wait until nobody else logs in here; False if nobody did, or that cannot be known."""
        lock = self._files.credkey.with_name(f"{self._files.credkey.name}.lock")
        taking = turn(
            lock,
            self._desk.clock,
            LOGIN_SECONDS,
            waiting=lambda: self._say("Waiting for another login of yours that has begun already."),
            in_vain=lambda: LoginExpired("The login that was waited for came to nothing."),
        )
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            return held.enter_context(taking)
        except (OSError, LocalFileUnfit):
            return False

    def _check_room(self) -> None:
        """Raise `LocalFileUnfit` if what a login gives could not be kept: nobody confirms it in vain."""
        vault_files.check_room(self._files.vault)
        if self._options.credkey is None and not self._options.nobearertoken:
            vault_files.make_room_for_credkey(self._files.credkey)

    def _asking_the_person(self) -> Optional[Held]:
        self._check_room()
        self._say(f"Attempting OIDC authentication with {url_of(server_of(self._options))}")
        login = log_in_by_browser(self._options, self._server, self._desk)
        if self._options.registerssh:
            self._register(login)
        held = self._fitted(login)
        if held is None or self._options.nobearertoken:
            return held
        credkey = self._learn(login)
        self._put_vault_token(held)
        if login.to_store is None:
            raise LoginNeeded("The server's login gave nothing to read tokens with.")
        path = secret_path(self._options, credkey)
        self._server.store(path, self._options.issuer, login.to_store, held.vault_token)
        return Held(held.vault_token, is_new=False)

    def _register(self, login: LoggedIn) -> None:
        credkey = self._options.credkey or login.credkey or self._credkey
        if credkey is None:
            raise LoginNeeded("It is not known under which name to register the ssh keys.")
        register_keys(self._options, self._server, credkey, login.vault_token, self._desk.environ)
        self._say("Registered the keys of the ssh-agent.")

    def _learn(self, login: LoggedIn) -> str:
        """Return whose login it is, and remember that unless it was said."""
        if self._options.credkey is None:
            if login.credkey is None:
                raise LoginNeeded("The server does not say whose login this is.", "Say --credkey.")
            self._credkey = login.credkey
            self._say(f"Saving credkey to {self._files.credkey}")
            vault_files.write_credkey(self._files.credkey, login.credkey, self._desk.entropy)
        assert self._credkey is not None
        return self._credkey

    def _fitted(self, login: Optional[LoggedIn]) -> Optional[Held]:
        """Return a vault token that lasts no longer and may no more than is wanted on disk."""
        if login is None:
            return None
        kept = list(login.policies)
        registers = next((one for one in kept if one.startswith(_REGISTERS)), None)
        if registers is not None:
            kept.remove(registers)
        wanted = self._options.vault_seconds
        lasts = login.lasts_seconds
        if registers is None and lasts is not None and lasts <= wanted:
            return Held(login.vault_token, is_new=True)
        narrower = None if registers is None else kept
        return Held(self._server.shorten(login.vault_token, wanted, narrower), is_new=True)

    def _read(self, held: Held) -> Secret:
        assert self._credkey is not None
        query = {"minimum_seconds": str(self._options.minsecs)}
        if self._options.scopes is not None:
            query["scopes"] = self._options.scopes
        if self._options.audience is not None:
            query["audiences"] = self._options.audience
        path = _read_path(self._options, self._credkey)
        self._detail(f"  at path {path}")
        return self._server.read(path, query, held.vault_token)

    def _put_vault_token(self, held: Held) -> None:
        if held.is_new:
            self._say(f"Storing vault token in {self._files.vault}")
            self._put(self._files.vault, held.vault_token)

    def _put(self, path: str, token: Secret) -> None:
        vault_files.put(path, token, self._desk.out, self._desk.entropy)

    def _is_attended(self) -> bool:
        streams = (self._desk.inp, self._desk.out, self._desk.err)
        if any(one is not None and one.isatty() for one in streams):
            return True
        self._detail("Disabling oidc because running in the background")
        return False

    def _no_way(self) -> CredbrokerError:
        return LoginNeeded(
            f"Failure getting token from {url_of(server_of(self._options))}: you have no login there.",
            "Log in by browser: run this at a terminal, without --nooidc. With -v it tells more.",
        )

    def _say(self, text: str) -> None:
        if not self._options.quiet or self._options.tells:
            self._desk.say("\n".join(map(plain, text.split("\n"))))

    def _detail(self, text: str) -> None:
        if self._options.tells:
            self._say(text)

    def _debug(self, text: str) -> None:
        if self._options.debug:
            self._say(text)
