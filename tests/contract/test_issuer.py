"""What `ports.Issuer` promises, by the broker's own client at the development issuer, over TLS.

The fake is held to what the development issuer does to refresh tokens.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.issuer import (
    ALL_GRANTS,
    TOKEN_EXCHANGE,
    Client,
    DeadAnswer,
    DevIssuer,
    Endpoint,
    IssuerSettings,
    Person,
    RefreshPolicy,
    SigningKeys,
    faults,
)
from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.device import LoginOver, StillPending
from credbroker.domain.errors import (
    ClientRejected,
    GrantPaused,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    IssuerUnreachable,
    LoginDenied,
    LoginNeeded,
)
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Renewed, Unclear
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import check_issued
from credbroker.host.entropy import SystemEntropy
from credbroker.host.http import OutgoingHttp
from credbroker.issuers.keys import IDLE_SECONDS, REFETCH_SECONDS
from credbroker.issuers.oidc import Dialect, OidcIssuer
from tests.fakes.clock import FakeClock
from tests.fakes.issuer import FakeIssuer

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.ports import Issuer

SCOPES = ScopeSet.parse("openid offline_access wlcg.groups storage.read:/ storage.create:/")
READ = Right(ScopeSet.parse("storage.read:/cms"), ("https://se.test",))
SECRET = "broker's word/+%"
ALICE = Person("alice", "alice's word", groups=("/cms",))
SILENCE = 0.2


@dataclass
class World:
    """A development issuer, and the broker's client there."""

    dev: DevIssuer
    client: OidcIssuer
    clock: FakeClock
    door: OutgoingHttp
    hooks: int = 0

    def other_client(self, **changes: Any) -> OidcIssuer:
        """Return the same issuer's client with another dialect."""
        usual: dict[str, Any] = {
            "url": self.dev.url,
            "client_id": "broker",
            "client_secret": Secret("client secret", SECRET),
            "audience_parameter": "audience",
            "rule": None,
            "seconds": 5.0,
            "refresh_seconds": 5.0,
        }
        return OidcIssuer(Dialect(**usual | changes), self.door, self.clock)

    async def hook(self) -> None:
        """Count how often a first byte was about to be sent."""
        self.hooks += 1

    async def log_in(self) -> Renewed:
        """Go through a device login that alice confirms."""
        started = await self.client.start_device_login(SCOPES)
        self.dev.approve(started.user_code)
        outcome = await self.client.poll_device_login(started.device_code)
        assert isinstance(outcome, Renewed)
        return outcome

    async def refresh_token(self) -> Secret:
        """Log in and return the refresh token."""
        value = (await self.log_in()).refresh_token
        assert value is not None
        return value

    async def refresh(self, value: Secret, right: Right = READ, *, seconds: float = 5.0) -> Outcome:
        """Refresh once."""
        return await self.client.refresh(value, right, self.hook, seconds=seconds)

    async def renewed(self, value: Secret, right: Right = READ) -> Renewed:
        """Refresh once, with success."""
        outcome = await self.refresh(value, right)
        assert isinstance(outcome, Renewed)
        return outcome


MakeWorld = Callable[..., Any]


@pytest.fixture(scope="module")
def keys() -> SigningKeys:
    """One set of keys for the tests that do not rotate them."""
    return SigningKeys()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> ssl.SSLContext:
    """The certificate that issuers show."""
    folder: Path = tmp_path_factory.mktemp("issuer")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("issuer", folder))
    return context


@pytest.fixture
async def make_world(
    clock: FakeClock, keys: SigningKeys, tls: ssl.SSLContext, authority: Authority
) -> AsyncIterator[MakeWorld]:
    """Return a maker of worlds; keywords go to the issuer's settings."""
    running: list[DevIssuer] = []
    async with OutgoingHttp(str(authority.ca_file)) as door:

        async def make(own_keys: SigningKeys = keys, **wanted: Any) -> World:
            settings = IssuerSettings(
                (Client("broker", SECRET, grants=(*ALL_GRANTS, TOKEN_EXCHANGE)), Client("public")),
                (ALICE,),
                **wanted,
            )
            dev = DevIssuer(settings, clock, SystemEntropy(), tls, own_keys)
            await dev.start()
            running.append(dev)
            world = World(dev, None, clock, door)  # type: ignore[arg-type]  # set in the next line
            world.client = world.other_client()
            return world

        yield make
        for dev in running:
            await dev.stop()


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    """An issuer with usual settings, which rotates."""
    made: World = await make_world()
    return made


# Logging in


async def test_a_device_login_ends_with_tokens_and_a_proven_identity(world: World) -> None:
    """Pending first; the ID token is alice's and for us."""
    started = await world.client.start_device_login(SCOPES)
    assert started.verification_uri == f"{world.dev.url}device"
    assert started.interval_seconds == 5
    assert await world.client.poll_device_login(started.device_code) == StillPending()
    world.dev.approve(started.user_code)
    outcome = await world.client.poll_device_login(started.device_code)
    assert isinstance(outcome, Renewed)
    assert outcome.scopes is not None
    assert outcome.scopes.same_as(SCOPES)
    assert outcome.refresh_token is not None
    assert outcome.id_token is not None
    claims = await world.client.verify_identity(outcome.id_token)
    assert (claims["sub"], claims["iss"]) == (ALICE.subject, world.dev.url)


async def test_a_trimmed_consent_shows_in_the_granted_scopes(world: World) -> None:
    """The broker records what was granted, not what was asked for."""
    started = await world.client.start_device_login(SCOPES)
    world.dev.approve(started.user_code, scopes=["openid", "offline_access", "storage.read:/"])
    outcome = await world.client.poll_device_login(started.device_code)
    assert isinstance(outcome, Renewed)
    assert str(outcome.scopes) == "openid offline_access storage.read:/"


async def test_a_login_that_is_refused_late_or_used_is_over(make_world: MakeWorld) -> None:
    """Each in its own words."""
    world = await make_world(report_denial=True)
    denied, late, used = [await world.client.start_device_login(SCOPES) for _ in range(3)]
    world.dev.deny(denied.user_code)
    outcome = await world.client.poll_device_login(denied.device_code)
    assert isinstance(outcome, LoginOver)
    assert isinstance(outcome.error, LoginDenied)
    world.dev.approve(used.user_code)
    await world.client.poll_device_login(used.device_code)
    world.clock.advance(601)
    for login in (late, used):
        assert isinstance(await world.client.poll_device_login(login.device_code), LoginOver)


async def test_a_hasty_login_is_told_to_slow_down(make_world: MakeWorld) -> None:
    """RFC 8628 section 3.5."""
    world = await make_world(enforce_interval=True)
    started = await world.client.start_device_login(SCOPES)
    polls = [await world.client.poll_device_login(started.device_code) for _ in range(2)]
    assert polls == [StillPending(), StillPending(slower=True)]


async def test_a_scope_that_is_not_registered_is_the_askers_fault(world: World) -> None:
    """Told at the start of the login."""
    with pytest.raises(IssuerRefusedRequest):
        await world.client.start_device_login(ScopeSet.parse("openid never.heard"))


async def test_a_public_client_logs_in_too(world: World) -> None:
    """It names itself in the form."""
    client = world.other_client(client_id="public", client_secret=None)
    started = await client.start_device_login(SCOPES)
    world.dev.approve(started.user_code)
    assert isinstance(await client.poll_device_login(started.device_code), Renewed)


def identity(world: World, **changes: Any) -> Secret:
    """Return an ID token that the issuer really signed, with these claims."""
    now = int(world.clock.now().timestamp())
    right = {"iss": world.dev.url, "sub": "sub", "aud": "broker", "iat": now, "exp": now + 600}
    return Secret("ID token", world.dev.keys.sign(right | changes, "ES256"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "other"},
        {"aud": ["broker", "other"]},
        {"aud": ["broker", "other"], "azp": "other"},
        {"aud": None},
        {"aud": []},
        {"iss": "https://evil.test/"},
        {"exp": 0},
        {"exp": None},
        {"exp": True},
        {"exp": "never"},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"iat": float("nan")},
        {"iat": 4_000_000_000},
        {"iat": None},
    ],
)
async def test_an_identity_that_is_not_for_us_or_not_for_now_is_refused(
    world: World, wrong: dict[str, Any]
) -> None:
    """OpenID Connect Core section 3.1.3.7, with the issuer's own signature under it."""
    await world.client.verify_identity(identity(world))
    await world.client.verify_identity(identity(world, aud=["broker", "other"], azp="broker"))
    with pytest.raises(IssuerMisbehaved):
        await world.client.verify_identity(identity(world, **wrong))


async def test_an_identity_by_another_key_is_refused(world: World) -> None:
    """Though its header names the issuer's."""
    forged = world.dev.keys.forge({"iss": world.dev.url, "aud": "broker"}, "ES256")
    with pytest.raises(IssuerMisbehaved, match="signature"):
        await world.client.verify_identity(Secret("ID token", forged))


# Refreshing


async def test_a_refresh_gives_what_was_asked_for_and_a_successor(world: World) -> None:
    """Narrowed in scope and audience; signed, and about alice."""
    old = await world.refresh_token()
    outcome = await world.renewed(old)
    assert outcome.refresh_token not in {None, old}
    await believed(world, outcome.access_token)
    token = await world.client.verify_access_token(outcome.access_token)
    assert (str(token.scopes), token.audiences) == ("storage.read:/cms", READ.audiences)
    assert (world.hooks, world.dev.count_refreshes()) == (1, 1)


async def test_an_issuer_that_does_not_rotate_is_fine(make_world: MakeWorld) -> None:
    """Incident 15: the same value works again and again."""
    world = await make_world(refresh_policy=RefreshPolicy.REUSE)
    value = await world.refresh_token()
    for _ in range(3):
        assert (await world.renewed(value)).refresh_token in {None, value}


async def test_one_audience_does_not_stick_to_the_next(world: World) -> None:
    """Incident 29: with an audience, then without one."""
    first = await world.renewed(await world.refresh_token())
    assert first.refresh_token is not None
    second = await world.renewed(first.refresh_token, Right(READ.scopes))
    token = await world.client.verify_access_token(second.access_token)
    assert token.audiences == (ANY_AUDIENCE,)


@pytest.mark.parametrize("style", DeadAnswer)
async def test_a_dead_token_is_dead_in_both_styles(
    make_world: MakeWorld, style: DeadAnswer
) -> None:
    """IAM's 401 `invalid_token` and the standard's 400 `invalid_grant`."""
    world = await make_world(dead_answer=style)
    old = await world.refresh_token()
    await world.renewed(old)
    assert isinstance(await world.refresh(old), Dead)
    assert isinstance(await world.refresh(Secret("refresh token", "never-issued")), Dead)


FAULTS: list[tuple[faults.Fault, type, type[Exception]]] = [
    (faults.LOST_ANSWER, Unclear, IssuerUnreachable),
    (faults.LOST_REQUEST, Unclear, IssuerUnreachable),
    (faults.ERROR_500, Unclear, IssuerFailed),
    (faults.after_acting(faults.ERROR_500), Unclear, IssuerFailed),
    (faults.HTML_BODY, Unclear, IssuerFailed),
    (faults.Spoiled(200, "<html>", "text/html", acted=True), Unclear, IssuerMisbehaved),
    (faults.too_many(17), NotActedOn, IssuerUnreachable),
    (faults.oauth_error("invalid_client", "x", 401), NotActedOn, ClientRejected),
    (
        faults.oauth_error("unauthorized", "User ada is not active.", 401),
        NotActedOn,
        GrantPaused,
    ),
    (
        faults.oauth_error("invalid_scope", "Up-scoping is not allowed."),
        NotActedOn,
        IssuerRefusedRequest,
    ),
    (
        faults.oauth_error("invalid_grant", "User needs to sign AUP first"),
        NotActedOn,
        GrantPaused,
    ),
    (faults.oauth_error("invalid_target", "x"), Unclear, IssuerRefusedRequest),
]


@pytest.mark.parametrize(("fault", "outcome", "kind"), FAULTS)
async def test_a_fault_at_a_refresh_is_what_it_proves(
    world: World, fault: faults.Fault, outcome: type, kind: type[Exception]
) -> None:
    """The value is posted once in every case."""
    value = await world.refresh_token()
    world.dev.faults.on(Endpoint.TOKEN, fault)
    got = await world.refresh(value)
    assert type(got) is outcome
    assert isinstance(got, Unclear | NotActedOn)
    assert type(got.error) is kind
    assert len(world.dev.posts_of(value.reveal())) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.too_many(17), NotActedOn),
        (faults.Spoiled(503, "", "text/plain", (("Retry-After", "17"),)), Unclear),
        (
            faults.Spoiled(
                503, "", "text/plain", (("Retry-After", "Mon, 01 Jun 2026 12:00:17 GMT"),)
            ),
            Unclear,
        ),
    ],
)
async def test_an_issuer_says_how_long_it_wants_to_rest(
    world: World, fault: faults.Fault, kind: type
) -> None:
    """In seconds or by a date, with 429 or 503."""
    value = await world.refresh_token()
    world.dev.faults.on(Endpoint.TOKEN, fault)
    got = await world.refresh(value)
    assert isinstance(got, Unclear | NotActedOn)
    assert type(got) is kind
    assert got.retry_after_seconds == 17


async def test_silence_at_a_refresh_is_unclear(make_world: MakeWorld, clock: FakeClock) -> None:
    """The issuer is still at it when the time is over."""
    world = await make_world()
    value = await world.refresh_token()
    world.dev.faults.on(Endpoint.TOKEN, faults.Slow(3600, acted=True))
    assert isinstance(await world.refresh(value, seconds=SILENCE), Unclear)
    assert world.dev.count_refreshes() == 1
    clock.advance(3600)


async def test_an_issuers_error_text_is_never_repeated(world: World) -> None:
    """Incident 23: this one quotes the refresh token."""
    value = await world.refresh_token()
    world.dev.faults.on(Endpoint.TOKEN, faults.LEAKY_ERROR)
    assert value.reveal() not in repr(await world.refresh(value))


async def test_a_redirect_takes_the_token_nowhere(world: World, make_world: MakeWorld) -> None:
    """The other host sees nothing at all, and the redirect proves that nothing was used up."""
    other = await make_world()
    value = await world.refresh_token()
    world.dev.faults.on(Endpoint.TOKEN, faults.redirect_307(f"{other.dev.url}token"))
    assert isinstance(await world.refresh(value), NotActedOn)
    assert other.dev.journal == []
    await world.renewed(value)


async def test_an_issuer_that_is_down_was_sent_nothing(world: World) -> None:
    """The error is raised, the hook does not run, and the value works when it is back."""
    value = await world.refresh_token()
    await world.dev.go_dark()
    with pytest.raises(IssuerUnreachable):
        await world.refresh(value)
    assert world.hooks == 0
    await world.dev.come_back()
    await world.renewed(value)


async def test_a_hook_that_fails_keeps_the_token_unused(world: World) -> None:
    """As when the claim cannot be stored."""

    async def fail() -> None:
        raise KeyError("claim")

    value = await world.refresh_token()
    with pytest.raises(KeyError):
        await world.client.refresh(value, READ, fail, seconds=5.0)
    assert world.dev.posts_of(value.reveal()) == []


async def test_a_wrong_client_secret_keeps_the_token(world: World) -> None:
    """It is the client's trouble; the grant is as good as before."""
    value = await world.refresh_token()
    wrong = world.other_client(client_secret=Secret("client secret", "wrong"))
    outcome = await wrong.refresh(value, READ, world.hook, seconds=5.0)
    assert isinstance(outcome, NotActedOn)
    assert isinstance(outcome.error, ClientRejected)
    await world.renewed(value)


# Whether it is there


async def test_a_sound_issuer_passes_the_probe_whatever_its_policy(make_world: MakeWorld) -> None:
    """Nobody's grant is used for it, and none is hurt."""
    for policy, style in itertools.product(RefreshPolicy, DeadAnswer):
        world = await make_world(refresh_policy=policy, dead_answer=style)
        value = await world.refresh_token()
        await world.client.probe()
        assert world.dev.posts_of(value.reveal()) == []
        await world.renewed(value)


async def test_a_probe_finds_a_refused_client(world: World) -> None:
    """Until the secret is right again."""
    world.dev.change_secret("broker", "another word")
    with pytest.raises(ClientRejected):
        await world.client.probe()
    world.dev.change_secret("broker", SECRET)
    await world.client.probe()


@pytest.mark.parametrize(
    ("endpoint", "fault", "kind"),
    [
        (Endpoint.TOKEN, faults.ERROR_500, IssuerFailed),
        (Endpoint.TOKEN, faults.HTML_BODY, IssuerFailed),
        (Endpoint.TOKEN, faults.LOST_ANSWER, IssuerUnreachable),
        (Endpoint.JWKS, faults.HTML_BODY, IssuerUnreachable),
        (Endpoint.JWKS, faults.Spoiled(200, "<html>", "text/html"), IssuerFailed),
    ],
)
async def test_a_probe_finds_an_issuer_in_trouble(
    world: World, endpoint: Endpoint, fault: faults.Fault, kind: type[Exception]
) -> None:
    """And passes when the trouble is over; 5xx and HTML are no word about our client."""
    world.dev.faults.on(endpoint, fault)
    with pytest.raises(kind):
        await world.client.probe()
    await world.client.probe()


async def test_a_probe_finds_that_nobody_is_there(world: World) -> None:
    """And that somebody is again."""
    await world.client.probe()
    await world.dev.go_dark()
    with pytest.raises(IssuerUnreachable):
        await world.client.probe()
    await world.dev.come_back()
    await world.client.probe()


# Access tokens and keys


async def believed(world: World, value: Secret) -> None:
    """Check an access token as minting does: its signature first, then what it says."""
    token = await world.client.verify_access_token(value)
    now = world.clock.now()
    check_issued(token, READ, issuer_url=world.dev.url, subject=ALICE.subject, now=now)


@pytest.mark.parametrize(
    "flaw",
    [
        faults.wider_scope("storage.modify:/"),
        faults.wrong_audience("https://evil.test"),
        faults.wrong_issuer("https://evil.test/"),
        faults.wlcg_version("2.0"),
        faults.wlcg_version(None),
        faults.skewed_clock(-4000),
        faults.skewed_clock(4000),
        faults.WRONG_KEY,
    ],
    ids=lambda flaw: flaw.name,
)
async def test_a_flawed_access_token_is_refused(world: World, flaw: faults.Flaw) -> None:
    """Promise 5: the answer of an issuer is checked, not trusted."""
    value = await world.refresh_token()
    world.dev.faults.on(Endpoint.TOKEN, flaw)
    outcome = await world.renewed(value)
    with pytest.raises(IssuerMisbehaved):
        await believed(world, outcome.access_token)


async def test_a_rotated_key_is_found(make_world: MakeWorld) -> None:
    """Prepared or not; old tokens verify while the old key is published, and not after."""
    world = await make_world(SigningKeys(), algorithm="ES256")
    first = await world.renewed(await world.refresh_token())
    await world.client.verify_access_token(first.access_token)
    world.clock.advance(REFETCH_SECONDS)
    world.dev.keys.rotate("ES256")
    assert first.refresh_token is not None
    second = await world.renewed(first.refresh_token)
    for token in (first, second):
        await world.client.verify_access_token(token.access_token)
    world.dev.keys.drop_retired()
    world.clock.advance(IDLE_SECONDS + 1)
    with pytest.raises(IssuerMisbehaved, match="does not publish"):
        await world.client.verify_access_token(first.access_token)


async def test_a_key_nobody_published_is_refused(world: World) -> None:
    """After one look at the set, and no further ones for a minute."""
    await world.client.verify_identity(identity(world))
    world.clock.advance(REFETCH_SECONDS)
    foreign = Secret("access token", SigningKeys().sign({"iss": world.dev.url}, "ES256"))
    outcomes = await asyncio.gather(
        *(world.client.verify_access_token(foreign) for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(one, IssuerMisbehaved) for one in outcomes)
    assert sum(one.endpoint is Endpoint.JWKS for one in world.dev.journal) == 2


async def test_tokens_verify_while_the_issuer_is_down(world: World) -> None:
    """By the keys at hand."""
    outcome = await world.renewed(await world.refresh_token())
    await world.client.verify_access_token(outcome.access_token)
    await world.dev.go_dark()
    await world.client.verify_access_token(outcome.access_token)


# Revoking


async def test_a_revoked_token_is_dead(world: World) -> None:
    """RFC 7009; revoking it again is fine."""
    value = await world.refresh_token()
    for _ in range(2):
        await world.client.revoke(value)
    assert isinstance(await world.refresh(value), Dead)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.LOST_ANSWER, IssuerUnreachable),
        (faults.ERROR_500, IssuerFailed),
        (faults.redirect_307("https://127.0.0.1:1/"), IssuerMisbehaved),
        (faults.oauth_error("invalid_client", "x", 401), ClientRejected),
    ],
)
async def test_a_revocation_that_may_have_failed_is_told(
    world: World, fault: faults.Fault, kind: type[Exception]
) -> None:
    """A logout must not claim what did not happen."""
    value = await world.refresh_token()
    world.dev.faults.on(Endpoint.REVOKE, fault)
    with pytest.raises(kind):
        await world.client.revoke(value)


# The fake beside it

GRACE_SECONDS = 60.0
STORIES = ["aaa", "ab", "aba", "aab", "abab", "abca", "abcb", "a.a", "a.ab", "ab.a", "ab.ac"]
"""Which values are shown one after the other: `a` the first, `b` what came of it, and so on; the
grace ends at a dot."""


@pytest.mark.parametrize("policy", RefreshPolicy)
async def test_the_fake_treats_values_as_the_development_issuer_does(
    make_world: MakeWorld, clock: FakeClock, policy: RefreshPolicy
) -> None:
    """Alive or dead, and a new value or the same, at every step of every story."""
    world = await make_world(refresh_policy=policy, grace_seconds=GRACE_SECONDS)
    fake = FakeIssuer(clock)
    fake.policy, fake.grace_seconds = policy, GRACE_SECONDS
    for story in STORIES:
        real = await told(story, world.client, await world.refresh_token(), clock)
        assert await told(story, fake, Secret("refresh token", f"first-{story}"), clock) == real


async def told(story: str, issuer: Issuer, first: Secret, clock: FakeClock) -> str:
    """Tell a story; for each step say which value came of it, or `-` if it was refused."""
    names = {"a": first}
    said = ""

    for step in story:
        if step == ".":
            clock.advance(GRACE_SECONDS)
            continue
        value = names.get(step, names[max(names)])  # where nothing came of it, the latest there is
        outcome = await issuer.refresh(value, READ, _pass, seconds=5.0)
        if isinstance(outcome, Dead):
            said += "-"
            continue
        assert isinstance(outcome, Renewed)
        successor = outcome.refresh_token or value
        if successor not in names.values():
            names[chr(ord(max(names)) + 1)] = successor
        said += next(name for name, known in names.items() if known == successor)
    return said


async def test_the_fake_gives_up_waiting_when_the_port_says(clock: FakeClock) -> None:
    """A black hole answers when it is mended, and who waits no longer is told that it is unclear."""
    fake = FakeIssuer(clock)
    value = Secret("refresh token", "first")
    fake.swallow()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(fake.refresh(value, READ, _pass, seconds=5.0)) for _ in "ab"]
        probe = group.create_task(fake.probe())
        await clock.pass_time(5.0)
        assert all(isinstance(call.result(), Unclear) for call in calls)
        assert not probe.done()
        fake.mend()
    assert fake.posts["first"] == 2
    await fake.probe()


async def _pass() -> None:
    """Be a claim that is stored already."""


@pytest.mark.parametrize(
    ("standing", "kind"),
    [
        (NotActedOn(ClientRejected("no")), ClientRejected),
        (Unclear(IssuerFailed("500")), IssuerFailed),
    ],
)
async def test_the_fakes_probe_finds_what_its_refreshes_meet(
    clock: FakeClock, standing: Outcome, kind: type[Exception]
) -> None:
    """An issuer that calls every grant dead passes: it is there, and takes our client."""
    fake = FakeIssuer(clock)
    fake.standing = standing
    with pytest.raises(kind):
        await fake.probe()
    fake.standing = Dead(LoginNeeded("no"))
    await fake.probe()
    assert fake.probes == 2


# Exchanging


async def test_an_exchange_gives_what_was_asked_for_and_uses_nothing_up(world: World) -> None:
    """Narrowed in scope and audience, about alice; the refresh token and the subject stay good."""
    login = await world.log_in()
    for _ in range(2):
        outcome = await world.client.exchange(login.access_token, READ)
        assert isinstance(outcome, Renewed)
        await believed(world, outcome.access_token)
    assert world.dev.count_refreshes() == 0


async def test_an_exchange_that_is_refused_says_why(world: World) -> None:
    """A scope that is not registered, or a subject token that has expired."""
    login, odd = await world.log_in(), Right(ScopeSet.parse("never.heard"))
    outcome = await world.client.exchange(login.access_token, odd)
    assert isinstance(outcome, NotActedOn)
    assert isinstance(outcome.error, IssuerRefusedRequest)
    world.clock.advance(3600)
    assert isinstance(await world.client.exchange(login.access_token, READ), Dead)


async def test_a_client_that_may_not_exchange_may_still_refresh(world: World) -> None:
    """What the issuer says of it concerns exchange alone, so it is a refused request."""
    login = await world.log_in()
    world.dev.faults.on(Endpoint.TOKEN, faults.oauth_error("invalid_client", "grant type", 401))
    outcome = await world.client.exchange(login.access_token, READ)
    assert isinstance(outcome, NotActedOn)
    assert isinstance(outcome.error, IssuerRefusedRequest)
    assert login.refresh_token is not None
    await world.renewed(login.refresh_token)


async def test_the_fake_exchanges_as_the_development_issuer_does(clock: FakeClock) -> None:
    """Any right for a token that lives, and nothing for one that has expired."""
    fake = FakeIssuer(clock)
    renewed = await fake.refresh(Secret("refresh token", "first"), READ, _pass, seconds=5.0)
    assert isinstance(renewed, Renewed)
    wider = Right(ScopeSet.parse("storage.modify:/"))
    outcome = await fake.exchange(renewed.access_token, wider)
    assert isinstance(outcome, Renewed)
    token = await fake.verify_access_token(outcome.access_token)
    assert (token.scopes, outcome.refresh_token) == (wider.scopes, None)
    clock.advance(1200)
    assert isinstance(await fake.exchange(renewed.access_token, READ), Dead)
    assert isinstance(await fake.exchange(Secret("access token", "never-issued"), READ), Dead)


async def test_an_issuer_in_trouble_says_so_to_an_exchange(world: World) -> None:
    """Nothing is in doubt afterwards: a lost answer is no answer."""
    login = await world.log_in()
    world.dev.faults.on(Endpoint.TOKEN, faults.LOST_ANSWER)
    with pytest.raises(IssuerUnreachable):
        await world.client.exchange(login.access_token, READ)
    world.dev.faults.on(Endpoint.TOKEN, faults.ERROR_500)
    outcome = await world.client.exchange(login.access_token, READ)
    assert isinstance(outcome, NotActedOn)
    assert isinstance(outcome.error, IssuerFailed)
