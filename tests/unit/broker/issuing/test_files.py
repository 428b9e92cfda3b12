"""Tokens for files: each as policy has it for that entry alone, and on the trail before it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.broker.issuing.files import (
    URL_SECONDS,
    FileOutcome,
    FileSigned,
    FilesSigning,
)
from credbroker.broker.issuing.granting import ClientCaller
from credbroker.broker.issuing.signing import AT_ONCE, Statement
from credbroker.broker.issuing.trail import about_signed
from credbroker.broker.leasing import Origin
from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.clients import Client
from credbroker.domain.errors import (
    AudienceRefused,
    ClientNotAllowed,
    CredbrokerError,
    KeysMissing,
    Malformed,
    Refused,
    ScopeRefused,
    TokenRefused,
)
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Asked, Entitled, decide
from credbroker.domain.scopes import STORAGE, ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken, LotToken
from credbroker.wire.files import AskFile
from tests.fakes.audit import FakeAudit
from tests.unit import things

SE = "https://se.test"
TABLE = LifetimeTable.of({})
EVERYTHING = "storage.read:/ storage.create:/ storage.stage:/data"


class FakeSigning:
    """Signs nothing, but says what it was asked to sign. Follows `broker.issuing.files.Signs`."""

    url = "https://tokens.test/dteam/"
    community = "dteam"

    def __init__(self) -> None:
        self.asked: list[tuple[Statement, str]] = []
        self.fails: Exception | None = None

    async def sign_many(self, asked: Sequence[tuple[Statement, str]]) -> list[LotToken]:
        """Return tokens without a signature."""
        if self.fails is not None:
            raise self.fails
        self.asked += asked
        return [
            LotToken(self._lot(said), Secret("access token", f"access-{n}"), scope, f"jti-{n}")
            for n, (said, scope) in enumerate(asked, 1)
        ]

    def _lot(self, said: Statement) -> AccessToken:
        return things.access_token(
            issuer_url=self.url,
            subject=said.subject,
            audiences=said.audiences,
            expires_at=things.NOON + things.seconds(said.seconds),
        )


class Desk:
    """One service and the issuer that it asks."""

    def __init__(self, scopes: str = EVERYTHING, **entitled: Any) -> None:
        self.entitled = Entitled(
            ScopeSet.parse(scopes), **{"audiences": ("https://*.test",), **entitled}
        )
        self.grants = frozenset({"client_credentials"})
        self.signing = FakeSigning()
        self.audit = FakeAudit()
        self.pieces: list[int] = []
        self.contained: set[str] = set()

    def judge(self, client_id: str) -> None:
        """Refuse whom an operator has contained."""
        if client_id in self.contained:
            raise TokenRefused("What this client asks for was ended by an operator.")

    async def ask(self, *entries: AskFile | Malformed) -> list[FileOutcome]:
        """Return what became of the entries."""
        client = Client("rucio", self.grants, self.entitled, secret_sha256="0" * 64)
        caller = ClientCaller(client, Origin("192.0.2.1", "request-1"), 2.5)
        files = FilesSigning(self.signing, TABLE, self.audit, self.judge)
        found: list[FileOutcome] = []
        async for piece in files.sign(caller, entries):
            self.pieces.append(len(piece))
            found += piece
        return found

    async def signed(self, entry: AskFile) -> FileSigned:
        """Return what became of one entry, which is not refused."""
        [outcome] = await self.ask(entry)
        assert isinstance(outcome, FileSigned), outcome
        return outcome


def read(path: str = "/data/run1/f", **more: Any) -> AskFile:
    """Return an entry for reading a file."""
    return AskFile(path, **{"access": ["read"], "audience": SE, **more})


async def test_an_entry_gets_a_token_for_its_file_alone_and_a_line_on_the_trail() -> None:
    """As long as the table of lifetimes has it for one file at one storage."""
    desk = Desk()
    token = (await desk.signed(read())).token
    assert token.scope == "storage.read:/data/run1/f"
    assert token.lot.audiences == (SE,)
    assert token.lot.seconds_left(things.NOON) == TABLE.rows["read_file"].usual
    line = desk.audit.last("sign")
    assert {
        name: str(line[name]) for name in ("by", "client_id", "sub", "iss", "jti", "scope")
    } == {
        "by": "files",
        "client_id": "rucio",
        "sub": "rucio",
        "iss": FakeSigning.url,
        "jti": "jti-1",
        "scope": "storage.read:/data/run1/f",
    }


async def test_the_trail_says_of_a_files_token_what_it_says_of_any() -> None:
    """By the same names."""
    desk = Desk()
    found = (await desk.signed(read())).token
    scopes = ScopeSet.parse(found.scope)
    token = replace(found.lot, value=found.value, scopes=scopes, jti=found.jti)
    line, as_ever = desk.audit.last("sign"), about_signed(token, "rucio", "dteam")
    assert {name: line[name] for name in as_ever} == as_ever
    assert set(line) - set(as_ever) == {"event", "request_id", "address", "by"}


async def test_several_kinds_of_access_are_scopes_of_one_token_that_lives_as_asked() -> None:
    """JAliEn's inputs: path, access, endpoint, lifetime."""
    entry = read(access=["create", "read", "read"], lifetime_seconds=60)
    token = (await Desk().signed(entry)).token
    assert token.scope == "storage.create:/data/run1/f storage.read:/data/run1/f"
    assert token.lot.seconds_left(things.NOON) == 60


async def test_the_storage_may_be_named_by_the_files_url() -> None:
    """The audience is its host in the profile's form, unless another is named."""
    desk = Desk()
    url = "davs://se.test:443/webdav/data/run1/f"
    assert (await desk.signed(read(audience=None, url=url))).token.lot.audiences == (SE,)
    named = await desk.signed(read(audience="https://alias.test", url=url))
    assert named.token.lot.audiences == ("https://alias.test",)
    assert named.url is None


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (Malformed("No."), Malformed),
        (read("/data/../f"), Malformed),
        (read("/data//f"), Malformed),
        (read("data/f"), Malformed),
        (read("/data/run1/f+g"), ScopeRefused),
        (read("/data/run1/" + "x" * 2000), CredbrokerError),
        (read(access=[]), Malformed),
        (read(access=["delete"]), Malformed),
        (read(access=["storage.read"]), Malformed),
        (read(form="paper"), Malformed),
        (read(lifetime_seconds=0), Malformed),
        (read(audience=None), AudienceRefused),
        (read(audience="https://se.other"), AudienceRefused),
        (read(audience=None, url="no url"), Malformed),
        (read(access=["modify"]), ScopeRefused),
        (read(access=["stage"]), ScopeRefused),
    ],
)
async def test_a_bad_entry_is_refused_and_spoils_no_other(
    entry: AskFile | Malformed, error: type[CredbrokerError]
) -> None:
    """Wherever it stands among others of its folder; the refusal is on the trail."""
    desk = Desk()
    outcomes = await desk.ask(read(), entry, read("/data/run1/g"))
    assert [type(one) for one in outcomes[::2]] == [FileSigned, FileSigned]
    assert isinstance(outcomes[1], error)
    assert desk.audit.last("refused")["error"] == outcomes[1].code
    assert len(desk.signing.asked) == 2


async def test_what_policy_added_is_told() -> None:
    """As the read scope that staging needs."""
    outcome = await Desk(stage_adds_read=True).signed(read(access=["stage"]))
    assert outcome.token.scope == "storage.stage:/data/run1/f storage.read:/data/run1/f"
    assert outcome.is_wider


async def test_only_services_with_tokens_of_their_own_may_ask() -> None:
    """Whoever may only exchange has nothing to be signed here."""
    desk = Desk()
    desk.grants = frozenset({"token_exchange"})
    with pytest.raises(ClientNotAllowed):
        await desk.ask(read())


async def test_a_service_that_was_contained_gets_nothing_more() -> None:
    """What was signed for it a moment before included."""
    desk = Desk()
    desk.contained.add("rucio")
    outcomes = await desk.ask(read(), read("/data/run1/g"))
    assert [type(one) for one in outcomes] == [TokenRefused, TokenRefused]
    assert desk.audit.events() == ["refused", "refused"]


PRESIGNED = {"form": "url", "url": "https://se.test/webdav/data/run1/f"}


async def test_a_url_is_signed_for_minutes_and_says_so_on_the_trail() -> None:
    """However long the entry would have it."""
    desk = Desk()
    outcome = await desk.signed(read(**PRESIGNED, lifetime_seconds=3600))
    assert outcome.url == PRESIGNED["url"]
    assert outcome.token.lot.seconds_left(things.NOON) == URL_SECONDS
    assert desk.audit.last("sign")["form"] == "url"
    assert "webdav" not in repr(desk.audit.lines)
    brief = (await desk.signed(read(**PRESIGNED, lifetime_seconds=9))).token
    assert brief.lot.seconds_left(things.NOON) == 9


@pytest.mark.parametrize(
    "changes",
    [
        {"url": None},
        {"url": "http://se.test/webdav/data/run1/f"},
        {"url": "https://se.test/webdav/data/run1/g"},
        {"url": "https://se.test/webdav/data/run1/f?authz=x"},
        {"url": 'https://se.test/"/data/run1/f'},
        {"url": "https://se.test/a#/data/run1/f"},
        {"url": "https://me@se.test:x/data/run1/f"},
        {"audience": "https://other.test"},
        {"audience": ANY_AUDIENCE},
        {"access": ["read", "create"]},
        {"access": ["create"]},
        {"path": "/data/run1/", "url": "https://se.test/webdav/data/run1/"},
    ],
)
async def test_a_url_is_signed_for_reading_one_file_at_its_own_host_alone(
    changes: dict[str, Any],
) -> None:
    """Also when its folder was decided for another entry a moment before."""
    outcomes = await Desk().ask(read(**PRESIGNED), read(**{**PRESIGNED, **changes}))
    assert isinstance(outcomes[0], FileSigned)
    assert isinstance(outcomes[1], Refused)


async def test_a_fault_of_signing_is_told_to_each_entry_of_its_piece() -> None:
    """The refused ones keep their own reason; nothing unforeseen gets out in words."""
    desk = Desk()
    for fault, code in (
        (KeysMissing("No key."), "keys_missing"),
        (ZeroDivisionError(), "broker_fault"),
    ):
        desk.signing.fails = fault
        outcomes = await desk.ask(read(), read(access=["modify"]))
        assert [one.code for one in outcomes if isinstance(one, CredbrokerError)] == [
            code,
            "scope_refused",
        ]


@pytest.mark.parametrize("event", ["sign", "refused"])
async def test_what_cannot_be_written_down_is_not_given_out(event: str) -> None:
    """Nor is a refusal told that nobody could trace; each to those whom it concerns."""
    desk = Desk()
    desk.audit.refused.add(event)
    outcomes = await desk.ask(read(), read(access=["modify"]))
    codes = [one.code if isinstance(one, CredbrokerError) else "given" for one in outcomes]
    assert (
        codes
        == {
            "sign": ["audit_unavailable", "scope_refused"],
            "refused": ["given", "audit_unavailable"],
        }[event]
    )


async def test_each_line_of_the_trail_says_what_its_own_token_says() -> None:
    """Though what tokens have in common is put into words once."""
    desk = Desk()
    entries = [
        read(f"/data/f{n}", audience=f"https://se{n % 3}.test", lifetime_seconds=60 + n % 2)
        for n in range(12)
    ]
    outcomes = await desk.ask(*entries)
    tokens = {one.token.scope: one.token for one in outcomes if isinstance(one, FileSigned)}
    assert len(tokens) == len(desk.audit.lines) == len(entries)
    for line in desk.audit.lines:
        token = tokens[str(line["scope"])]
        lot = token.lot
        assert (line["audience"], line["expires_at"]) == (lot.audiences, lot.expires_at)
        assert (line["sha256"], line["kid"]) == (token.value.digest(), lot.key_id)


async def test_many_come_in_pieces_so_that_others_have_their_turn() -> None:
    """In the order in which they were asked."""
    desk = Desk()
    entries = [read(f"/data/run{number % 7}/f{number}") for number in range(3 * AT_ONCE + 1)]
    outcomes = await desk.ask(*entries)
    assert desk.pieces == [AT_ONCE] * 3 + [1]
    assert [one.token.scope for one in outcomes if isinstance(one, FileSigned)] == [
        f"storage.read:{entry.path}" for entry in entries
    ]


paths = st.builds(
    lambda folders, leaf: "/" + "/".join([*folders, leaf]),
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3),
    st.sampled_from(["a", "b", "ab", "f.root", "", ".", "..", "x+y", "%20", "x" * 300]),
)
entries = st.builds(
    AskFile,
    paths,
    st.lists(
        st.sampled_from(["read", "create", "modify", "stage", "poll"]), min_size=1, max_size=2
    ),
    st.sampled_from([SE, "https://se2.test", "https://se.other", ANY_AUDIENCE]),
    st.none(),
    st.sampled_from([None, 60, 10**6]),
)
entitlements = st.lists(
    st.builds(
        lambda name, path: f"{name}:{path}", st.sampled_from(sorted(STORAGE)), things.paths()
    ),
    max_size=4,
)


async def test_a_path_without_its_first_slash_is_no_file_of_the_root() -> None:
    """Although both seem to lie in a folder without a name."""
    outcomes = await Desk().ask(read("/f"), read("g"))
    assert [type(one) for one in outcomes] == [FileSigned, Malformed]


@given(st.lists(entries, max_size=12), entitlements, st.booleans())
async def test_what_was_decided_for_a_folder_is_what_would_be_decided_for_each_file(
    asked: list[AskFile], scopes: list[str], adds: bool
) -> None:
    """Same scopes, same audience, same lifetime, same refusal."""
    desk = Desk(" ".join(scopes), stage_adds_read=adds)
    for entry, outcome in zip(asked, await desk.ask(*asked), strict=True):
        assert _said(outcome) == _decided(desk, entry)


def _decided(desk: Desk, entry: AskFile) -> object:
    """Return what policy has for one entry, or the kind of its refusal."""
    try:
        scopes = ScopeSet.of(f"storage.{one}:{entry.path}" for one in entry.access)
        wanted = Asked(scopes, (entry.audience or "",), entry.lifetime_seconds)
        decision = decide(desk.entitled, wanted, TABLE)
    except CredbrokerError as error:
        return type(error)
    return decision.right.scopes, decision.right.audiences, decision.seconds


def _said(outcome: FileOutcome) -> object:
    if isinstance(outcome, CredbrokerError):
        return type(outcome)
    lot = outcome.token.lot
    scopes = ScopeSet.parse(outcome.token.scope)
    return scopes, lot.audiences, lot.seconds_left(things.NOON)
