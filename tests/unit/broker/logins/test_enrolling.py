"""A login ends with a stored grant and a lease, or with nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from credbroker.broker.leasing import Caller
from credbroker.broker.logins.enrolling import POLL_ANSWER_SECONDS, Started
from credbroker.domain.device import LoginOver, PendingLogin, StillPending
from credbroker.domain.errors import (
    AuditUnavailable,
    Busy,
    CredbrokerError,
    IssuerMisbehaved,
    IssuerUnreachable,
    LeaseEnded,
    LeaseUnknown,
    LoginDenied,
    LoginExpired,
    LoginNeeded,
    Malformed,
    NotFound,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.outcomes import Renewed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.fakes.clock import turns
from tests.unit.broker.world import DAY, ISSUER, ORIGIN, WANT_READ, Replica, World

ADA = {"sub": "sub-ada", "wlcg.credkey": "ada"}
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
UNCLEAR = StoreUnclear("OpenBao/Vault took a write and did not answer.")
INTERVAL = 5.0


@dataclass(frozen=True)
class Login:
    """A login that waits for its person, at one replica."""

    world: World
    replica: Replica
    started: Started

    async def poll(self, replica: Replica | None = None) -> Lease | PendingLogin:
        """Poll as the client does, after the interval."""
        self.world.clock.advance(INTERVAL)
        return await (replica or self.replica).enrolling.poll(self.started.token, ORIGIN)

    def confirm(self, claims: Mapping[str, object] = ADA, scopes: str | None = None) -> Renewed:
        """Let the person with these claims confirm."""
        granted = ScopeSet.parse(scopes) if scopes is not None else None
        answer = self.world.issuer.confirmed(claims, granted)
        self.world.issuer.poll_next(answer)
        return answer

    @property
    def polls(self) -> int:
        """How often the issuer was asked."""
        return self.world.issuer.polls[self.started.shown.device_code.reveal()]


async def new_login(world: World | None = None, replica: Replica | None = None) -> Login:
    """Begin a login."""
    world = world or World()
    replica = replica or world.replica()
    return Login(world, replica, await replica.enrolling.start(ISSUER, None, ORIGIN))


async def logged_in(world: World, replica: Replica, claims: Mapping[str, object] = ADA) -> Caller:
    """Log somebody in and return the caller."""
    login = await new_login(world, replica)
    login.confirm(claims)
    lease = await login.poll()
    assert isinstance(lease, Lease)
    return Caller(lease, ORIGIN)


# -- the straight line ---------------------------------------------------------------------------


async def test_a_confirmed_login_stores_the_grant_and_brings_the_lease_to_life() -> None:
    """One token from the start to the end of the lease; dead until then."""
    login = await new_login()
    token = login.started.token
    with pytest.raises(LeaseUnknown):
        await login.world.replica("other").leasing.identify(token, ORIGIN)
    assert isinstance(await login.poll(), PendingLogin)
    login.confirm()
    lease = await login.poll()
    assert isinstance(lease, Lease)
    assert (lease.id, lease.ceiling.scopes) == (token.id, None)
    assert (lease.ends_at - lease.created_at).total_seconds() == 7 * DAY
    grant = login.world.grant
    assert (grant.state, grant.subject, grant.line) == (GrantState.READY, "sub-ada", lease.line)
    caller = await login.world.replica("other").leasing.identify(token, ORIGIN)
    minted = await login.replica.minting.mint_access_token(caller, WANT_READ)
    assert minted.issuer == ISSUER


async def test_the_trail_tells_of_start_and_end_and_holds_no_secret() -> None:
    """Neither device code nor refresh token nor lease secret."""
    login = await new_login()
    answer = login.confirm()
    await login.poll()
    assert login.world.audit.events() == ["login_started", "login"]
    assert login.world.audit.last("login")["lease"] == login.started.token.id
    shown = str(login.world.audit.lines)
    assert answer.refresh_token is not None
    for secret in (
        answer.refresh_token,
        login.started.token.secret,
        login.started.shown.device_code,
    ):
        assert secret.reveal() not in shown


async def test_what_the_issuer_adds_beyond_the_role_is_not_used() -> None:
    """And what it left out is not granted."""
    login = await new_login()
    login.confirm(scopes="openid storage.read:/ storage.modify:/")
    await login.poll()
    assert str(login.world.grant.scopes) == "openid storage.read:/"


@pytest.mark.parametrize(("issuer", "role"), [("atlas", None), (ISSUER, "production")])
async def test_a_login_for_what_is_not_served_is_refused_at_once(
    issuer: str, role: str | None
) -> None:
    """Before the issuer hears of it."""
    world = World()
    with pytest.raises(NotFound):
        await world.replica().enrolling.start(issuer, role, ORIGIN)
    assert not world.logins.history


async def test_nobody_is_shown_a_code_while_it_cannot_be_stored_or_put_on_record() -> None:
    """Issuer down, store down, trail full."""
    world = World()
    replica = world.replica()
    world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    with pytest.raises(IssuerUnreachable):
        await new_login(world, replica)
    world.issuer.down = None
    world.logins.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await new_login(world, replica)
    world.audit.refused.add("login_started")
    with pytest.raises(AuditUnavailable):
        await new_login(world, replica)


# -- polling -------------------------------------------------------------------------------------


async def test_the_issuers_interval_is_kept_whoever_polls_how_often() -> None:
    """Ten polls a second are one question in five; one that comes a little early waits."""
    login = await new_login()
    clock, poll = login.world.clock, login.replica.enrolling.poll
    await poll(login.started.token, ORIGIN)
    for _ in range(44):
        clock.advance(0.1)
        await poll(login.started.token, ORIGIN)
    assert login.polls == 1
    clock.advance(0.2)
    early = login.replica.start(poll(login.started.token, ORIGIN))
    await turns()
    assert login.polls == 1
    clock.advance(0.5)
    await early
    assert login.polls == 2


async def test_slow_down_makes_the_interval_longer_for_all_replicas() -> None:
    """By five seconds each time (RFC 8628 section 3.5)."""
    login = await new_login()
    login.world.issuer.poll_next(StillPending(slower=True))
    first = await login.poll()
    assert isinstance(first, PendingLogin)
    assert first.interval_seconds == INTERVAL + 5
    await login.poll()
    assert login.polls == 1
    again = await login.poll(login.world.replica("other"))
    assert isinstance(again, PendingLogin)
    assert again.interval_seconds == INTERVAL + 5


async def test_two_polls_at_once_ask_the_issuer_once() -> None:
    """A device code is good for one answer."""
    login = await new_login()
    login.world.issuer.answer_seconds = 6
    login.confirm()
    login.world.clock.advance(INTERVAL)
    polls = [
        login.replica.start(login.replica.enrolling.poll(login.started.token, ORIGIN))
        for _ in range(2)
    ]
    await login.world.clock.pass_time(6)
    first, second = (poll.result() for poll in polls)
    assert isinstance(first, Lease)
    assert first == second
    assert login.polls == 1


async def test_polling_again_after_a_lost_answer_finds_the_login_done() -> None:
    """At any replica, any number of times, without another question to the issuer."""
    login = await new_login()
    login.confirm()
    lease = await login.poll()
    for replica in (login.replica, login.world.replica("other")):
        assert await login.poll(replica) == lease
    assert login.polls == 1


@pytest.mark.parametrize("patience", [1.0, POLL_ANSWER_SECONDS])
async def test_a_login_is_completed_though_its_client_is_gone(patience: float) -> None:
    """A poll in the meantime waits its turn instead of asking the issuer a second time."""
    login = await new_login()
    login.world.issuer.answer_seconds = 12
    login.confirm()
    login.world.clock.advance(INTERVAL)
    first = login.replica.start(login.replica.enrolling.poll(login.started.token, ORIGIN))
    await login.world.clock.pass_time(patience)
    first.cancel()
    await turns()
    assert first.cancelled() or isinstance(first.exception(), Busy)
    second = login.replica.start(login.replica.enrolling.poll(login.started.token, ORIGIN))
    await login.world.clock.pass_time(12 - patience)
    assert login.world.grant.state is GrantState.READY
    if patience > 3:
        assert isinstance(second.result(), Lease)
    assert isinstance(await login.poll(), Lease)
    assert login.polls == 1


async def test_only_the_token_that_began_a_login_can_poll_it() -> None:
    """The id alone, seen in a log, is worth nothing: not before and not after."""
    login = await new_login()
    forged = LeaseToken(login.started.token.id, Secret("lease", "x" * 43))
    stranger = login.replica.leasing.new_token()
    for token in (forged, stranger):
        with pytest.raises(LeaseUnknown):
            await login.replica.enrolling.poll(token, ORIGIN)
    login.confirm()
    await login.poll()
    with pytest.raises(LeaseUnknown):
        await login.replica.enrolling.poll(forged, ORIGIN)


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (LoginDenied("The person said no."), "login_refused"),
        (LoginExpired("Nobody confirmed the login in time."), "login_refused"),
        (IssuerMisbehaved("The issuer's answer cannot be read."), "login_failed"),
    ],
)
async def test_a_login_that_is_over_stays_over(error: CredbrokerError, event: str) -> None:
    """The device code is gone, the reason is told again, the issuer is not asked again."""
    login = await new_login()
    login.world.issuer.poll_next(LoginOver(error))
    with pytest.raises(type(error)):
        await login.poll()
    assert login.world.audit.last(event)["why"] == error.sentence
    with pytest.raises(LoginExpired) as caught:
        await login.poll()
    assert caught.value.sentence == error.sentence
    assert login.polls == 1
    assert login.world.logins.newest(login.started.token.id).device_code is None


async def test_a_login_nobody_confirmed_in_time_expires_without_asking() -> None:
    """By the lifetime the issuer gave."""
    login = await new_login()
    login.world.clock.advance(600 - INTERVAL)
    with pytest.raises(LoginExpired):
        await login.poll()
    assert login.polls == 0


async def test_an_issuer_that_is_down_for_a_while_ends_no_login() -> None:
    """The next poll asks again."""
    login = await new_login()
    login.world.issuer.poll_next(IssuerUnreachable("The issuer does not answer."))
    with pytest.raises(IssuerUnreachable):
        await login.poll()
    login.confirm()
    assert isinstance(await login.poll(), Lease)


# -- completion that fails -----------------------------------------------------------------------


def revoked(login: Login, answer: Renewed) -> bool:
    """True if the issuer was told to take the refresh token back."""
    assert answer.refresh_token is not None
    return answer.refresh_token.reveal() in login.world.issuer.revoked


async def test_a_refresh_token_that_cannot_be_stored_is_revoked() -> None:
    """Nothing alive is left behind where nobody knows of it."""
    login = await new_login()
    answer = login.confirm()
    login.world.grants.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await login.poll()
    assert revoked(login, answer)
    assert not login.world.grants.history
    assert login.world.audit.last("login_failed")["why"] == AWAY.sentence


async def test_an_identity_that_does_not_say_who_it_is_is_refused_and_revoked() -> None:
    """No subject, no credkey, one that cannot be shown."""
    for claims, kind in (
        ({"wlcg.credkey": "ada"}, IssuerMisbehaved),
        ({"sub": "sub-ada"}, IssuerMisbehaved),
        ({"sub": "", "wlcg.credkey": "ada"}, IssuerMisbehaved),
        ({"sub": "sub-ada", "wlcg.credkey": ["ada"]}, IssuerMisbehaved),
        ({"sub": "sub-ada", "wlcg.credkey": "a\x00da"}, Malformed),
    ):
        login = await new_login()
        answer = login.confirm(claims)
        with pytest.raises(kind):
            await login.poll()
        assert revoked(login, answer)
        assert not login.world.grants.history


async def test_somebody_else_under_a_known_credkey_is_refused_and_revoked() -> None:
    """An identity key that comes to name another person must not open that person's grant."""
    world = World()
    replica = world.replica()
    caller = await logged_in(world, replica)
    before = world.grant
    login = await new_login(world, replica)
    answer = login.confirm({"sub": "sub-mallory", "wlcg.credkey": "ada"})
    with pytest.raises(LoginDenied):
        await login.poll()
    assert revoked(login, answer)
    assert world.grant == before
    assert world.audit.events().count("login_refused") == 1
    minted = await replica.minting.mint_access_token(caller, WANT_READ)
    assert minted.token.subject == "sub-ada"


async def test_an_issuer_that_cannot_be_told_does_not_hide_the_first_error() -> None:
    """The person hears what went wrong first."""
    login = await new_login()
    login.confirm({"sub": "sub-ada"})
    login.world.clock.advance(INTERVAL)
    login.world.issuer.answer_seconds = 1
    poll = login.replica.start(login.replica.enrolling.poll(login.started.token, ORIGIN))
    await turns()
    login.world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    await login.world.clock.pass_time(1)
    assert isinstance(poll.exception(), IssuerMisbehaved)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_grant_whose_storing_got_no_answer_is_never_stored_and_revoked(
    taken: bool,
) -> None:
    """A record with a dead refresh token would stop the jobs that live on it."""
    world = World()
    replica = world.replica()
    caller = await logged_in(world, replica)
    login = await new_login(world, replica)
    answer = login.confirm()
    login.world.issuer.answer_seconds = 1
    login.world.clock.advance(INTERVAL)
    poll = replica.start(replica.enrolling.poll(login.started.token, ORIGIN))
    await turns()
    world.grants.fail_next(UNCLEAR, acted=taken, on="put")
    get, reads = world.grants.get, iter([False, True])

    async def fails_second(segment: str) -> object:
        if next(reads, False):
            raise AWAY
        return await get(segment)

    world.grants.get = fails_second  # type: ignore[method-assign, assignment]  # stands in for the fake's own
    await world.clock.pass_time(1)
    assert isinstance(poll.exception(), StoreUnclear)
    stored = world.grant.refresh_token
    assert stored is not None
    assert (stored == answer.refresh_token) is taken
    assert stored.reveal() not in world.issuer.revoked
    world.clock.advance(5)
    world.issuer.answer_seconds = 0
    assert (await replica.minting.mint_access_token(caller, WANT_READ)).issuer == ISSUER


@pytest.mark.parametrize("trouble", ["store", "trail"])
async def test_a_new_login_that_fails_late_leaves_running_jobs_alone(trouble: str) -> None:
    """The new refresh token is in custody by then and the old leases live on it."""
    world = World()
    replica = world.replica()
    caller = await logged_in(world, replica)
    login = await new_login(world, replica)
    login.confirm()
    if trouble == "store":
        world.leases.fail_next(AWAY, on="put")
    else:
        world.audit.refused.add("login")
    with pytest.raises((StoreUnavailable, AuditUnavailable)):
        await login.poll()
    assert not world.issuer.revoked
    world.audit.refused.clear()
    world.clock.advance(5)
    assert (await replica.minting.mint_access_token(caller, WANT_READ)).issuer == ISSUER


async def test_no_lease_comes_alive_that_is_not_on_record() -> None:
    """Polling again after the trail was mended does not get round it."""
    login = await new_login()
    login.world.audit.refused.update({"login", "login_failed"})
    login.confirm()
    with pytest.raises(AuditUnavailable):
        await login.poll()
    login.world.audit.refused.clear()
    with pytest.raises(LoginExpired):
        await login.poll()
    with pytest.raises(LeaseUnknown):
        await login.world.replica("other").leasing.identify(login.started.token, ORIGIN)


# -- logging in again ----------------------------------------------------------------------------


async def test_a_new_login_of_the_same_person_keeps_the_line_so_old_leases_go_on() -> None:
    """Running jobs do not notice, and get tokens of the new grant."""
    world = World()
    replica = world.replica()
    caller = await logged_in(world, replica)
    _, job = await replica.leasing.make_child(
        caller, await replica.minting.right_of(caller, WANT_READ), job="job-1", seconds=DAY
    )
    await world.rewrite(state=GrantState.LOST)
    world.clock.advance(5)
    with pytest.raises(LoginNeeded):
        await replica.minting.mint_access_token(Caller(job, ORIGIN), WANT_READ)
    again = await logged_in(world, replica)
    assert again.lease.line == caller.lease.line
    assert (world.grant.state, world.grant.generation) == (GrantState.READY, 2)
    world.clock.advance(5)
    assert (await replica.minting.mint_access_token(Caller(job, ORIGIN), WANT_READ)).issuer


@pytest.mark.parametrize("revokes", [True, False])
async def test_what_a_new_login_replaces_is_revoked_once_the_new_one_is_stored(
    revokes: bool,
) -> None:
    """And not where an issuer ties a person's logins together, or the new one would end as well."""
    world = World()
    world.issuer.revoke_replaced = revokes
    replica = world.replica()
    await logged_in(world, replica)
    first = world.refresh_token
    login = await new_login(world, replica)
    login.confirm()
    world.grants.fail_next(UNCLEAR, on="put")
    assert world.issuer.revoked == []
    await login.poll()
    await turns()
    assert world.refresh_token != first
    assert world.issuer.revoked == ([first] if revokes else [])


async def test_leases_from_before_a_logout_never_come_back() -> None:
    """Not even after the same person's new login; nor does somebody else inherit them."""
    for claims in (ADA, {"sub": "sub-other", "wlcg.credkey": "ada"}):
        world = World()
        replica = world.replica()
        caller = await logged_in(world, replica)
        _, job = await replica.leasing.make_child(
            caller, await replica.minting.right_of(caller, WANT_READ), job="job-1", seconds=DAY
        )
        await replica.ending.log_out(caller)
        again = await logged_in(world, replica, claims)
        assert again.lease.line != caller.lease.line
        assert world.grant.generation == 3
        world.clock.advance(5)
        for old in (caller, Caller(job, ORIGIN)):
            for one in (replica, world.replica("other")):
                with pytest.raises(LeaseEnded):
                    await one.minting.mint_access_token(old, WANT_READ)


async def test_a_login_that_races_a_refresh_is_stored_after_it() -> None:
    """Whoever is second looks again; the newest login's refresh token is what stays."""
    world = World()
    replica, other = world.replica(), world.replica("other")
    caller = await logged_in(world, replica)
    login = await new_login(world, replica)
    answer = login.confirm()
    world.issuer.answer_seconds = 1
    asked = other.start(other.minting.mint_access_token(caller, WANT_READ))
    await turns()
    world.clock.advance(INTERVAL)
    poll = replica.start(replica.enrolling.poll(login.started.token, ORIGIN))
    await world.clock.pass_time(3)
    assert isinstance(poll.result(), Lease)
    assert asked.done()
    assert world.grant.refresh_token == answer.refresh_token
    assert set(world.issuer.posts.values()) == {1}


async def test_nothing_is_kept_of_logins_that_are_long_over() -> None:
    """Whoever begins ten thousand logins fills no memory."""
    world = World()
    replica = world.replica()
    for _ in range(50):
        login = await new_login(world, replica)
        await login.poll()
    assert len(replica.enrolling._polled) <= 3
    assert not replica.enrolling._locks
