"""People of one issuer: Ada, who asks, and others whose logins, keys and tokens are not hers.

Among the others are names that a careless comparison takes for Ada's or for a part of hers.
"""

from __future__ import annotations

import base64
import datetime
import itertools
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from credbroker.api.browsers import WAY_BACK, Forms
from credbroker.broker.engine import Stores
from credbroker.broker.htvault import Htvault, HtvaultRules, Proofs, assemble
from credbroker.broker.leasing import Caller, Origin
from credbroker.broker.legacy import LegacyServer
from credbroker.broker.logins.confirming import ConfirmingRules
from credbroker.broker.logins.kerberos_logins import KerberosEntry
from credbroker.broker.running import Means
from credbroker.domain.attenuation import Right, Wanted
from credbroker.domain.confirming import CameBack
from credbroker.domain.names import GrantKey
from credbroker.domain.principals import PrincipalRules
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.ssh_keys import SshKey, SshKeys, place_of
from credbroker.domain.tokens import AccessToken
from credbroker.issuers.ssh_signatures import AgentSignatures
from credbroker.stores.login_seal import AesLoginSeal
from tests.fakes.issuer import Issued
from tests.fakes.kerberos import FakeAcceptor
from tests.fakes.legacy import FakeLegacyVault
from tests.fakes.ssh_agent import AgentKey, ed25519_key
from tests.unit.broker.world import DAY, GRANTED, ISSUER, ROLE, Replica, World

if TYPE_CHECKING:
    from credbroker.broker.logins.confirming import Begun, LoggedIn

PUBLIC_URL = "https://broker.test"
OTHERS = ("bob", "adalbert", "ADA", "ada:default", "*")
ROBOT = "ada/robot"
LEGACY_TOKEN = "hvs.a-token-of-the-former-htvault"
NONCE = "n" * 43
PAGE = "page-cookie-of-ada-000000000000000000000000"
_HERE = Origin("192.0.2.9", "request-of-the-crowd")
_KEYS: list[AgentKey] = []


@dataclass
class Crowd:
    """A broker over fakes, in which all these people are logged in.

    Attributes:
        words: What stands in an input as `{name}`, and is too secret or too new to be written there.
        secrets: What may be in no answer, by whose it is.
    """

    world: World = field(default_factory=World)
    words: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    theirs: set[str] = field(default_factory=set)
    """The refresh tokens of the others, which nobody may have used or revoked."""

    @cached_property
    def replica(self) -> Replica:
        """The one replica."""
        # So that none of these values is a part of what somebody may type.
        self.world.issuer._count = itertools.count(7_000_000_000)
        return self.world.replica()

    @cached_property
    def seal(self) -> AesLoginSeal:
        """What seals logins, forms and nonces."""
        key = "K" * 42 + "A"
        self.secrets["the key of logins"] = key
        return AesLoginSeal(Secret("login key", key))

    @cached_property
    def tickets(self) -> FakeAcceptor:
        """What takes Kerberos tickets."""
        return FakeAcceptor()

    @cached_property
    def former(self) -> FakeLegacyVault:
        """The HTVault that was here before."""
        return FakeLegacyVault("https://former.test", Secret("vault token", LEGACY_TOKEN))

    @cached_property
    def htvault(self) -> Htvault:
        """All that is done in an HTVault's place."""
        world, rules = self.world, PrincipalRules(("TEST.LOCAL",))
        return assemble(
            self.replica.engine,
            _stores_of(world, self.replica.name),
            {ISSUER: world.issuer},
            proofs=Proofs(
                self.seal,
                AgentSignatures(),
                [KerberosEntry(self.tickets, rules)],
                {ISSUER: LegacyServer(self.former, datetime.date(2027, 1, 1))},
            ),
            rules=HtvaultRules(
                ConfirmingRules(PUBLIC_URL, frozenset(), 28 * DAY), {ISSUER: {ROLE}}, True
            ),
            means=Means(world.audit, world.clock, world.entropy, self.replica.deeds),
        )

    async def gather(self) -> None:
        """Log everybody in, and begin what Ada can go on with."""
        await self._grant("ada", _subject("ada"))
        await self._grant(ROBOT, _subject("ada"))
        for name in OTHERS:
            await self._grant(name, _subject(name))
            await self._keys(name)
        for name in ("bob", "adalbert"):
            await self._lease(f"the lease of {name}", name)
        await self._leases_of_ada()
        await self._logins_of_ada()
        await self._visit_of_ada()
        await self._ways_in_of_ada()
        self.words["legacy"] = LEGACY_TOKEN
        self.secrets["the vault token of the former HTVault"] = LEGACY_TOKEN

    async def _grant(self, name: str, subject: str) -> None:
        """Store a grant that holds an access token, which is still good."""
        world, key = self.world, GrantKey(ISSUER, name, ROLE)
        value = f"refresh-canary-of-{name}"
        await world.give_grant(key, line_of(name), value)
        self.secrets[f"the refresh token of {name}"] = value
        token = self._held(f"access-canary-of-{name}", subject, value)
        if subject != _subject("ada"):
            self.theirs.add(value)
            self.secrets[f"the access token of {name}"] = f"access-canary-of-{name}"
        stored = await world.grants.get(key.segment())
        assert stored is not None
        changed = replace(stored.value, subject=subject, **token)
        await world.grants.put(key.segment(), changed, stored.version)

    def _held(self, value: str, subject: str, refresh_token: str) -> dict[str, Any]:
        now = self.world.clock.now()
        token = AccessToken(
            value=Secret("access token", value),
            issuer_url=self.world.issuer.url,
            subject=subject,
            scopes=GRANTED,
            audiences=("https://any.test/",),
            groups=(),
            version="1.0",
            jti=f"jti-of-{subject}",
            key_id="key-1",
            issued_at=now,
            not_before=now,
            expires_at=now + datetime.timedelta(hours=1),
            obtained_at=now,
        )
        self.world.issuer.issued[value] = Issued(token, refresh_token)
        return {
            "access_token": token.value,
            "access_right": Right(GRANTED),
            "tokens_until": token.expires_at,
        }

    async def _lease(self, whose: str, name: str) -> Caller:
        token, caller = await self.world.give_lease(
            self.replica, GrantKey(ISSUER, name, ROLE), line_of(name)
        )
        self.secrets[whose] = token.secret.reveal()
        return caller

    async def _keys(self, name: str) -> None:
        record = SshKeys(
            ISSUER, name, self.world.issuer.url, _subject(name),
            (SshKey.parse(_key(1).line),), self.world.clock.now(),
        )  # fmt: skip
        await self.world.ssh_keys.put(place_of(ISSUER, name), record, 0)

    async def _leases_of_ada(self) -> None:
        """Give her a login's lease, a narrow one for a job, and one that was ended."""
        leasing = self.replica.leasing
        token, caller = await leasing.open(
            GrantKey(ISSUER, "ada", ROLE), line_of("ada"), _subject("ada"), 28 * DAY, _HERE
        )
        job, _ = await leasing.make_child(
            Caller(caller, _HERE),
            Right(ScopeSet.parse("storage.read:/")),
            job="a job",
            seconds=3600.0,
        )
        # What is held already is read without a trace, which is quick.
        await self.replica.minting.mint_access_token(Caller(caller, _HERE), Wanted())
        ended, lease = await leasing.shorten(Caller(caller, _HERE), 60.0)
        await leasing.end(Caller(lease, _HERE))
        for word, one in (("ada", token), ("job", job), ("ended", ended)):
            self.words[word] = one.text().reveal()
            self.secrets[f"the vault token {word}"] = one.secret.reveal()

    async def _logins_of_ada(self) -> None:
        """Begin three logins: one nobody has confirmed, one that waits for the issuer, one to place."""
        fresh, done = await self._begin(), await self._begin()
        login, cookie, code = await self._confirm(await self._begin(), "ada")
        found = await self._log_in(done, "ada")
        theirs = await self._log_in(await self._begin(), "bob")
        form = Forms(self.seal, self.world.entropy)._value(PAGE, fresh.state)
        self.words |= {
            "state": fresh.state, "code": fresh.user_code, "page": PAGE, "form": form,
            "login": login, "cookie": f"{WAY_BACK}{login}={cookie}", "authcode": code,
            "done": done.state, "handle": found.handle, "new": found.token.text().reveal(),
            "theirs": theirs.handle,
        }  # fmt: skip

    async def _visit_of_ada(self) -> None:
        """Let her see her grants in a browser."""
        visiting = self.htvault.visiting
        sent = await visiting.begin(ISSUER)
        claims = {"sub": _subject("ada"), "wlcg.credkey": "ada"}
        code = Secret("authorization code", self.world.issuer.log_in(sent.go_to, claims))
        answer = CameBack(sent.state, code, ISSUER)
        visit = await visiting.returned(answer, sent.cookie, _HERE)
        visitor = visiting.visitor(visit)
        assert visitor is not None
        self.words["visit"] = visit
        self.words["visitform"] = Forms(self.seal, self.world.entropy)._value(PAGE, visitor.visit)

    async def _begin(self) -> Begun:
        return await self.htvault.confirming.begin(ISSUER, ROLE, NONCE, _HERE, "ui.site.test")

    async def _log_in(self, begun: Begun, name: str) -> LoggedIn:
        """Do all that somebody does; the grant waits for its place."""
        login, cookie, code = await self._confirm(begun, name)
        answer = CameBack(login, Secret("authorization code", code), ISSUER)
        await self.htvault.returning.returned(answer, cookie, _HERE)
        found = await self.htvault.confirming.poll(begun.state, NONCE, _HERE)
        pending = self.world.confirmed.newest(login).pending
        assert found is not None
        assert pending is not None
        assert pending.refresh_token is not None
        if name != "ada":
            self.theirs.add(pending.refresh_token.reveal())
        self.secrets[f"the refresh token of {name} that waits"] = pending.refresh_token.reveal()
        self.secrets[f"the new vault token of {name}"] = found.token.secret.reveal()
        return found

    async def _confirm(self, begun: Begun, name: str) -> tuple[str, str, str]:
        """Take somebody to the issuer; return the login's id, the cookie and the code."""
        confirmed = await self.htvault.confirming.confirm(begun.state, begun.user_code, _HERE)
        claims = {"sub": _subject(name), "wlcg.credkey": name}
        code = self.world.issuer.log_in(confirmed.go_to, claims)
        return confirmed.login, confirmed.cookie, code

    async def _ways_in_of_ada(self) -> None:
        """Give her a ticket, and a registered key with which a nonce is signed."""
        nonce = self.htvault.ssh.nonce()
        key = _key(0)
        record = SshKeys(
            ISSUER, "ada", self.world.issuer.url, _subject("ada"),
            (SshKey.parse(key.line),), self.world.clock.now(),
        )  # fmt: skip
        await self.world.ssh_keys.put(place_of(ISSUER, "ada"), record, 0)
        self.words |= {
            "ticket": _base64(self.tickets.issue("ada@TEST.LOCAL")),
            "nonce": _base64(nonce.encode()),
            "key": key.line,
            "signature": _base64(key.sign(nonce.encode())),
            "fingerprint": SshKey.parse(key.line).fingerprint(),
        }

    def written(self, text: bytes) -> bytes:
        """Put the words where an input names them."""
        return _WORD.sub(lambda found: self._word(found.group(1)), text) if b"{" in text else text

    def _word(self, name: bytes) -> bytes:
        return self.words.get(name.decode(), f"{{{name.decode()}}}").encode()


_WORD = re.compile(rb"\{([a-z]{1,12})\}")


def line_of(name: str) -> str:
    """Return the line of logins that somebody's leases belong to."""
    return f"line-of-{name}"


def _subject(name: str) -> str:
    return f"sub-{name}"


def _key(number: int) -> AgentKey:
    """Return a key, the same each time in this process."""
    while len(_KEYS) <= number:
        _KEYS.append(ed25519_key())
    return _KEYS[number]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _stores_of(world: World, replica: str) -> Stores:
    return Stores(
        world.grants,
        world.leases,
        world.logins,
        world.issuer_marks,
        world.heartbeats,
        world.rewind,
        world.spools[replica],
        world.host_marks,
        world.revocations,
        world.narrow,
        world.confirmed,
        world.ssh_keys,
        world.seen,
        world.robots,
    )
