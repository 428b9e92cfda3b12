"""Signs the tokens of one community, and knows them again; the last door before a right is real.

- Every token is the one form that all neighbours accept: whole seconds, `nbf` a minute back,
  `wlcg.ver` "1.0", `aud` a text when there is one and a list when there are several, `scope` one text.
- A storage scope without a path, a token for nobody in particular, or a `sub` that is not 1 to 255
  ASCII characters is not signed, whoever asks.
- Nothing is signed while the revocations are not known to be recent, or this host's clock is off.
- A token never outlives its key's publication, nor what its statement sets.
- Only a service of the community, or who acts for one, has a token about it: a person whose `sub` is
  a service's id gets none.
- A token whose header is not, byte for byte, one that is written here is none of ours. One of ours
  that is shown again is not verified again, but judged: by its times, and by whether its key counts.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple, Protocol

import msgspec

from credbroker.broker.issuing.keyring import InUse, Keyring
from credbroker.broker.issuing.remembering import Remembering
from credbroker.broker.running import Means
from credbroker.domain.actors import acting
from credbroker.domain.errors import (
    AudienceRefused,
    Malformed,
    ScopeRefused,
    TokenRefused,
)
from credbroker.domain.scopes import STORAGE, ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken, LotToken
from credbroker.wire.compact import part, put_together, taken_apart
from credbroker.wire.jwt import access_token, peek

BACK_SECONDS = 60
# WLCG token profile 1.3, `sub`: ASCII, and no more.
MOST_SUBJECT = 255
VERSION = "1.0"
# Of a batch, so many are judged, signed and put on disk at a time: others get their turn in between.
AT_ONCE = 512
# As long as a caller's answer may take on the way to a first reading of the marks.
CONFIRM_SECONDS = 2.0
# Three bytes are four characters of base64url: a text for many is cut into those of each.
_JTI_BYTES, _JTI_LENGTH = 18, 24
_ENCODER = msgspec.json.Encoder()
_NO_VALUE, _NO_SCOPES = Secret("access token", ""), ScopeSet()
_NOT_OURS = "The token that was shown is not one of this issuer's."


class Statement(NamedTuple):  # which is made several times as quickly as a frozen dataclass
    """What a token is to say. It lives `seconds` from now, and never beyond `not_after`."""

    subject: str
    client_id: str
    scopes: ScopeSet
    audiences: tuple[str, ...]
    seconds: int
    groups: tuple[str, ...] = ()
    actor: Mapping[str, object] | None = None
    """Who acts for the subject: the `act` claim (RFC 8693 section 4.1)."""
    not_after: datetime.datetime | None = None

    def but_scopes(self) -> tuple[object, ...]:
        """Return what finds, in a dict, those that say the same but for their scopes."""
        actor = self.actor and str(self.actor)
        return (
            self.subject,
            self.client_id,
            self.audiences,
            self.seconds,
            self.groups,
            actor,
            self.not_after,
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """One of our own tokens, verified."""

    token: AccessToken
    client_id: str
    actor: Mapping[str, object] | None

    @property
    def names(self) -> tuple[str, ...]:
        """Whose it is: its client, its subject, and all who acted before."""
        return (self.client_id, self.token.subject, *acting(self.actor))


class Marks(Protocol):
    """Tells whether revocations are known; see `broker.containing`."""

    @property
    def is_fresh(self) -> bool:
        """True if they were read in the last 30 s."""

    async def confirm(self, seconds: float) -> None:
        """Return if they were just read, having waited up to `seconds`. Raises `StoreUnavailable`."""


AlgorithmFor = Callable[[Sequence[str]], str]


def algorithms(default: str, particular: Mapping[str, str]) -> AlgorithmFor:
    """Return a choice: what all audiences of a token want by name, else the `default`."""

    def choose(audiences: Sequence[str]) -> str:
        wanted = {particular.get(one, default) for one in audiences}
        return wanted.pop() if len(wanted) == 1 else default

    return choose


class Signing:
    """Signs and verifies for one `community`, whose issuer string is `url`."""

    def __init__(
        self,
        url: str,
        keyring: Keyring,
        marks: Marks,
        means: Means,
        algorithm_for: AlgorithmFor,
        *,
        services: Collection[str] = (),
    ) -> None:
        """Sign with the keys in `keyring`, each token by the algorithm of its audiences.

        `services` are the ids of the community's clients.
        """
        self.url, self.community = url, keyring.community
        self._keyring = keyring
        self._marks = marks
        self._means = means
        self._algorithm_for = algorithm_for
        self._services = frozenset(services)
        self._verified = Remembering[Signed]()
        self._second = 0
        self._forms: dict[object, _Form] = {}

    def jwks(self) -> bytes:
        """Return the JWK set from memory, the newest key first; see `Keyring.jwks`."""
        return self._keyring.jwks()

    def counts(self, token: AccessToken) -> bool:
        """Return whether the key of a token of ours is still published: it was not withdrawn."""
        return any(key.key_id == token.key_id for key in self._keyring.published())

    async def sign(self, statement: Statement) -> AccessToken:
        """Return a new token that says this.

        Raises `KeysMissing`, `ClockOff`, `StoreUnavailable` kinds; `ScopeRefused` and
        `AudienceRefused` for what nobody may have; `TokenRefused` if `not_after` is over, or for a
        subject that no token can be about.
        """
        await self._may_sign()
        used = self._keyring.signing(self._algorithm_for(statement.audiences))
        form, jti = self._form_of_now(statement, used), self._means.entropy.token(_JTI_BYTES)
        draft = form.drafted(str(statement.scopes), jti)
        [signature] = await used.signer.sign([draft])
        return form.token(put_together(draft, signature), statement.scopes, jti)

    def _form_of_now(self, said: Statement, used: InUse) -> _Form:
        """Return the form; all tokens of one second that say the same share it."""
        now = self._means.clock.now()
        second = int(now.timestamp())
        if second != self._second:
            self._second, self._forms = second, {}
        alike = (used.key.key_id, *said.but_scopes())
        form = self._forms.get(alike)
        if form is None:
            form = self._forms[alike] = self._form(said, used, now)
        return form

    async def sign_many(self, asked: Sequence[tuple[Statement, str]]) -> list[LotToken]:
        """Return a new token for each, in the same order, or raise as `sign` does for the first fault.

        Each says what its statement says, with the text beside it for the statement's scopes. Others
        have their turn meanwhile.
        """
        tokens: list[LotToken] = []
        for start in range(0, len(asked), AT_ONCE):
            await self._may_sign()
            tokens += await self._signed(asked[start : start + AT_ONCE])
        return tokens

    async def _may_sign(self) -> None:
        self._means.check_clock()
        if not self._marks.is_fresh:
            await self._marks.confirm(CONFIRM_SECONDS)

    async def _signed(self, asked: Sequence[tuple[Statement, str]]) -> list[LotToken]:
        forms = self._forms_of([said for said, _ in asked])
        chance = self._means.entropy.token(_JTI_BYTES * len(asked))
        jtis = [chance[at : at + _JTI_LENGTH] for at in range(0, len(chance), _JTI_LENGTH)]
        drafts = [
            form.drafted(scope, jti)
            for form, (_, scope), jti in zip(forms, asked, jtis, strict=True)
        ]
        signatures = await _signatures(forms, drafts)
        return [
            LotToken(form.lot, put_together(draft, signature), scope, jti)
            for form, draft, signature, (_, scope), jti in zip(
                forms, drafts, signatures, asked, jtis, strict=True
            )
        ]

    def _forms_of(self, statements: Sequence[Statement]) -> list[_Form]:
        """Return the form of each; those that say the same share one."""
        now = self._means.clock.now()
        # Looked up once: between two looks another key may have begun to sign.
        in_use = cache(self._keyring.signing)
        by_words: dict[object, _Form] = {}
        forms: list[_Form] = []
        last = None
        for said in statements:
            if said is not last:  # files of one folder come one after the other
                alike, last = said.but_scopes(), said
                if alike not in by_words:
                    used = in_use(self._algorithm_for(said.audiences))
                    by_words[alike] = self._form(said, used, now)
                form = by_words[alike]
            forms.append(form)
        return forms

    def _form(self, said: Statement, used: InUse, now: datetime.datetime) -> _Form:
        """Return what all tokens have in common that say the same but for their scopes."""
        _check(said)
        if said.subject in self._services and said.client_id not in self._services:
            raise ScopeRefused(
                "The token would be about a service of this community, whose client id is this sub.",
                "Have the operator give that service another client id.",
            )
        issued_at = int(now.timestamp())
        # A key that signs now stays published for as long as this from now on.
        expires_at = issued_at + min(said.seconds, int(used.key.token_seconds))
        if said.not_after is not None:
            expires_at = min(expires_at, int(said.not_after.timestamp()))
        if expires_at <= issued_at:
            raise TokenRefused("What this token would come from is over.")
        lot = AccessToken(
            value=_NO_VALUE,
            issuer_url=self.url,
            subject=said.subject,
            scopes=_NO_SCOPES,
            audiences=said.audiences,
            groups=said.groups,
            version=VERSION,
            jti="",
            key_id=used.key.key_id,
            issued_at=_moment(issued_at),
            not_before=_moment(issued_at - BACK_SECONDS),
            expires_at=_moment(expires_at),
            obtained_at=now,
        )
        claims = _claims(self.url, said, issued_at, expires_at)
        header = _header(used.key.algorithm, used.key.key_id)
        claims_begin = _ENCODER.encode(claims)[:-1]
        whole = len(claims_begin) // 3 * 3  # three bytes are four characters, wherever they stand
        begin = header + part(claims_begin[:whole])
        return _Form(used, begin, claims_begin[whole:], lot)

    async def verify(self, value: Secret) -> Signed:
        """Return what a token of ours says.

        Raises `TokenRefused` for one that is not ours or is over, in a sentence that repeats nothing
        of it; `ClockOff` where that cannot be told.
        """
        self._means.check_clock()
        try:
            parts = taken_apart(value)
            digest = value.digest()
            found = self._verified.get(digest)
            if found is None:
                found = self._read(value, *parts)
                self._verified.keep(digest, found)
        except Malformed:
            raise TokenRefused(_NOT_OURS) from None
        if not self.counts(found.token):
            raise TokenRefused(_NOT_OURS)
        if not found.token.not_before <= self._means.clock.now() < found.token.expires_at:
            raise TokenRefused("The token that was shown has expired, or is not valid yet.")
        return found

    def _read(self, value: Secret, header: bytes, signed: bytes, signature: bytes) -> Signed:
        """Return what a token says whose signature is ours. Raises `TokenRefused`, `Malformed`."""
        if not self._is_ours(header, signed, signature):
            raise TokenRefused(_NOT_OURS)
        head, claims = peek(value)
        token = access_token(value, head, claims, self._means.clock.now())
        if token.issuer_url != self.url or token.version != VERSION:
            raise TokenRefused(_NOT_OURS)
        return Signed(token, claims.text("client_id"), claims.raw("act"))

    def _is_ours(self, header: bytes, signed: bytes, signature: bytes) -> bool:
        written = header + b"."
        for key in self._keyring.published():
            if _header(key.algorithm, key.key_id) == written:
                return self._keyring.verifies(key, signed, signature)
        return False


class _Form(NamedTuple):
    """What tokens have in common that say the same but for their scopes and `jti`."""

    used: InUse
    begin: bytes
    """The header, and what of the claims can be written once for all of them."""
    rest: bytes
    """What of those claims is left, up to two bytes of JSON."""
    lot: AccessToken
    """See `LotToken`."""

    def drafted(self, scope: str, jti: str) -> bytes:
        """Return a token's header and claims, which are to be signed. Raises `ScopeRefused`."""
        _check_scope(scope)
        claims = {"jti": jti, "scope": scope} if scope else {"jti": jti}
        return self.begin + part(b"%b,%b" % (self.rest, _ENCODER.encode(claims)[1:]))

    def token(self, value: Secret, scopes: ScopeSet, jti: str) -> AccessToken:
        """Return the signed token, as whoever reads it would."""
        token = object.__new__(AccessToken)
        # As its own __init__ would, in a fourth of the time, which is much beside a signature's.
        vars(token).update(vars(self.lot), value=value, scopes=scopes, jti=jti)
        return token


async def _signatures(forms: Sequence[_Form], drafts: Sequence[bytes]) -> list[bytes]:
    """Return the signature of each draft, by the key of its form."""
    keys = {id(form.used): form.used for form in forms}
    if len(keys) == 1:  # as nearly always
        [used] = keys.values()
        return await used.signer.sign(drafts)
    found: dict[int, bytes] = {}
    for used in keys.values():
        places = [at for at, form in enumerate(forms) if form.used is used]
        made = await used.signer.sign([drafts[at] for at in places])
        found.update(zip(places, made, strict=True))
    return [found[at] for at in range(len(drafts))]


def _check(said: Statement) -> None:
    subject = said.subject
    if not (subject.isascii() and 0 < len(subject) <= MOST_SUBJECT):
        raise TokenRefused(
            f"A token can only be about a sub of 1 to {MOST_SUBJECT} ASCII characters.",
            "Have the issuer that named this person use shorter, plain identifiers.",
        )
    if not said.audiences or not all(said.audiences):
        raise AudienceRefused("A token for no audience is not signed: name one.")


def _check_scope(scope: str) -> None:
    for item in scope.split(" "):
        name, _, path = item.partition(":")
        if not path and name in STORAGE:
            raise ScopeRefused(f"{name} is not signed without a path.")


def _claims(url: str, said: Statement, issued_at: int, expires_at: int) -> dict[str, object]:
    """Return all claims but `jti` and `scope`."""
    claims: dict[str, object] = {
        "iss": url,
        "sub": said.subject,
        "aud": said.audiences[0] if len(said.audiences) == 1 else said.audiences,
        "exp": expires_at,
        "nbf": issued_at - BACK_SECONDS,
        "iat": issued_at,
        "client_id": said.client_id,
        "wlcg.ver": VERSION,
    }
    if said.groups:
        claims["wlcg.groups"] = said.groups
    if said.actor is not None:
        claims["act"] = said.actor
    return claims


@lru_cache(maxsize=256)
def _header(algorithm: str, key_id: str) -> bytes:
    """Return the header of all tokens of a key, and the dot behind it."""
    return part(msgspec.json.encode({"alg": algorithm, "kid": key_id, "typ": "JWT"})) + b"."


@lru_cache(maxsize=4096)
def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
