"""A login of a Vault client that a person confirms in a browser, with the code of the terminal.

What does not change of it is `AskedLogin`, which travels sealed through the client and the browser;
what does is `ConfirmedLogin`, a record. The grant that the issuer gave waits in that record until
the client has said where it belongs, and replaces nothing before.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from typing import Optional

from credbroker.domain.device import DeviceStart
from credbroker.domain.errors import LoginDenied, Malformed, NotAllowed
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import id_on
from credbroker.domain.names import GrantKey
from credbroker.domain.rotation import succeed
from credbroker.domain.secret import Secret

TRIES = 3
LOGIN_SECONDS = 600.0
PENDING_SECONDS = 600.0
"""How long a grant waits for its place, from the writing of the record on."""

_HANDLE = "login:"
# RFC 8628 section 6.1: no vowels, so no words; 34 bits, of which three may be tried.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_CODE_LENGTH = 8
_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")
_TIME_BYTES = 6
_CHANCE_LENGTH = 14


@dataclass(frozen=True)
class AskedLogin:
    """What a client asked for, and from where; `nonce_hash` is of the secret that polls."""

    id: str
    issuer: str
    role: str
    nonce_hash: str
    user_code: str
    started_at: datetime.datetime
    expires_at: datetime.datetime
    address: str
    host: str = ""
    """The name of that address, if it has one that leads back to it."""


@dataclass(frozen=True)
class ConfirmedLogin:
    """The record of a login that somebody has entered a code for, right or wrong."""

    id: str
    issuer: str
    role: str
    expires_at: datetime.datetime
    tries: int = 0
    """How often a code was entered, right ones too, so that nobody can go on for ever."""
    last_try: str = ""
    """Random, new with each wrong code: tells two apart that were entered at the same time."""
    cookie_hash: str = ""
    """Of the browser that confirmed; empty while none has."""
    device: Optional[DeviceStart] = None
    """The issuer's own device login, where that is how it goes on."""
    credkey: str = ""
    line: str = ""
    """What the leases of this login belong to, once the issuer has said who it is."""
    pending: Optional[Grant] = None
    """The grant that waits; its key is the place that it is for."""
    placed: str = ""
    """The credkey under which it was placed."""
    note: str = ""
    """Why it is over without success, in one sentence."""

    @property
    def is_answered(self) -> bool:
        """True once the issuer has logged the person in."""
        return self.pending is not None or bool(self.placed)


@dataclass(frozen=True)
class CameBack:
    """What a browser brings back from an issuer.

    `issuer` is the one at whose address of ours it arrived; `iss` is what the answer says itself of
    where it is from, empty if nothing (RFC 9207).
    """

    state: str
    code: Optional[Secret]
    """None if the issuer gave an error."""
    issuer: str
    iss: str = ""


def new_id(chance: str, started_at: datetime.datetime) -> str:
    """Return a login's id: 14 random characters and the time, so that a name says how old it is."""
    at = int(started_at.timestamp()).to_bytes(_TIME_BYTES, "big")
    return chance + base64.urlsafe_b64encode(at).decode()


def age_by_name(name: str, now: datetime.datetime) -> float:
    """Return how many seconds ago the login of this id began; infinite if it is no such id."""
    if not _ID.match(name):
        return float("inf")
    at = int.from_bytes(base64.urlsafe_b64decode(name[-8:]), "big")
    return now.timestamp() - at


def check_id(text: str) -> str:
    """Return `text` if it has the form of a login's id; raise `Malformed` if not."""
    if not _ID.match(text):
        raise Malformed("This is not the name of a login.", "Start the login again.")
    return text


def handle_of(login_id: str) -> str:
    """Return what a client holds in place of the refresh token: it opens nothing by itself."""
    return _HANDLE + login_id


def login_of(handle: str) -> str:
    """Return the id of the login that a handle names; raise `Malformed` for anything else."""
    if not handle.startswith(_HANDLE):
        raise Malformed(
            "Only what a login of this broker gave can be stored here.",
            "Log in through this broker; it takes no refresh token from elsewhere.",
        )
    return check_id(handle[len(_HANDLE) :])


def user_code(fraction: float) -> str:
    """Return the code for a chance in [0, 1), as `BCDF-GHJK`."""
    number = int(fraction * len(_LETTERS) ** _CODE_LENGTH)
    letters = ""
    for _ in range(_CODE_LENGTH):
        number, letter = divmod(number, len(_LETTERS))
        letters += _LETTERS[letter]
    return f"{letters[:4]}-{letters[4:]}"


def is_code(shown: str, login: AskedLogin) -> bool:
    """True if a person typed the login's code, in whatever case and with or without the dash."""
    typed = "".join(char for char in shown[:64].upper() if char.isalnum())
    return hmac.compare_digest(typed.encode(), login.user_code.replace("-", "").encode())


def challenge(verifier: Secret) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = bytes.fromhex(verifier.digest())
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def digest(text: str) -> str:
    """Return the hex SHA-256 by which a record knows a cookie or nonce again."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_cookie_of(login: ConfirmedLogin, cookie: str) -> bool:
    """True if the browser that shows this cookie is the one that confirmed last."""
    return bool(login.cookie_hash) and hmac.compare_digest(login.cookie_hash, digest(cookie))


def check_sender(answer: CameBack, issuer: str, issuer_url: str) -> None:
    """Raise `NotAllowed` unless the answer is from the issuer that the person was sent to.

    Else one issuer could have us show it another one's code (RFC 9700 section 4.4).
    """
    if answer.issuer != issuer or answer.iss not in {"", issuer_url}:
        raise NotAllowed("This answer is not from the issuer that the login was begun at.")


def tried(login: ConfirmedLogin, this_try: str) -> ConfirmedLogin:
    """Return the login after one more wrong code, `this_try`; the last try ends it."""
    login = replace(login, tries=login.tries + 1, last_try=this_try)
    return over(login, "A wrong code was entered three times.") if login.tries >= TRIES else login


def confirmed(login: ConfirmedLogin, cookie: str, device: Optional[DeviceStart]) -> ConfirmedLogin:
    """Return the login as confirmed by the browser that gets this cookie, and by no other."""
    return replace(login, tries=login.tries + 1, cookie_hash=digest(cookie), device=device)


def answered(login: ConfirmedLogin, grant: Grant) -> ConfirmedLogin:
    """Return the login with the grant that came of it, which waits for its place."""
    return replace(login, credkey=grant.key.credkey, line=grant.line, pending=grant, device=None)


def meant_for(login: ConfirmedLogin, grant: Grant, key: GrantKey) -> ConfirmedLogin:
    """Return the login with its grant bound for a place below its own, on a line of its own."""
    line = _line(key, login.id)
    return replace(login, pending=replace(grant, key=key, line=line))


def placed(login: ConfirmedLogin, credkey: str) -> ConfirmedLogin:
    """Return the login as done; the refresh token is where it belongs, and here no more."""
    return replace(login, pending=None, placed=credkey)


def over(login: ConfirmedLogin, sentence: str) -> ConfirmedLogin:
    """Return the login as one that cannot succeed; what waits in it waits for its end."""
    return replace(login, device=None, note=sentence)


def without_grant(login: ConfirmedLogin) -> ConfirmedLogin:
    """Return the login without the grant that nobody claimed."""
    return replace(login, pending=None)


def lined(grant: Grant, found: Optional[Grant]) -> Grant:
    """Return a new grant on the line that it will have beside what is found in its place.

    Two logins of a person that wait at a time get the same line, so that the later one keeps the
    earlier one's leases; after a logout it is another. Nobody else's is the same, whatever the
    issuer calls them. Raises `LoginDenied` if the place is another person's.
    """
    if found is None or found.state is GrantState.ENDED:
        return replace(grant, line=new_line(grant.key, found, grant.issuer_url, grant.subject))
    return replace(grant, line=succeed(found, grant).line)


def new_line(key: GrantKey, found: Optional[Grant], issuer_url: str, subject: str) -> str:
    """Return the line of a person's logins at `key` where there is no grant, or one that ended."""
    generation = found.generation if found else 0
    return _line(key, f"{generation} {issuer_url} {subject}")


def check_overtaken(grant: Grant, found: Optional[Grant]) -> None:
    """Raise `LoginDenied` if the place has changed so that this login's leases would open nothing."""
    if found is None or found.login_id == grant.login_id:
        return
    check_not_ended(grant, found)
    if found.state is not GrantState.ENDED and found.line != grant.line:
        raise _overtaken()


def check_not_ended(grant: Grant, found: Grant) -> None:
    """Raise `LoginDenied` if a logout has ended the line that the grant would go on with."""
    if found.state is GrantState.ENDED and found.line == grant.line:
        raise _overtaken()


def lease_id(login: ConfirmedLogin) -> str:
    """Return the id of the one lease that comes of an answered login, which its line finds."""
    return id_on(login.line, login.id[:_CHANCE_LENGTH])


def _overtaken() -> LoginDenied:
    return LoginDenied("This login was overtaken by a logout or by another login.")


def _line(key: GrantKey, distinct: str) -> str:
    """Return a line of 22 characters, the same each time."""
    made = hashlib.sha256(f"line {key.segment()} {distinct}".encode()).digest()
    return base64.urlsafe_b64encode(made[:16]).rstrip(b"=").decode()
