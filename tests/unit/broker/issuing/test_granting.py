"""What services get by each grant is within what they may have, recorded, and the same when repeated."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credbroker.broker.issuing.granting import MOST_ACTORS, Granted
from credbroker.broker.issuing.signing import Statement
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    AuditUnavailable,
    ClientNotAllowed,
    CredbrokerError,
    KeysMissing,
    ScopeRefused,
    StoreUnavailable,
    StoreUnclear,
    TokenRefused,
)
from credbroker.domain.issued_refresh import GRACE_SECONDS
from credbroker.domain.revocations import Kind
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.wire.jwt import peek
from tests.fakes.clock import turns
from tests.unit.broker.issuing.granting_world import (
    COMMUNITY,
    FTS,
    ROTATING,
    RUCIO,
    SE1,
    SE2,
    GrantingWorld,
    IssuingReplica,
    asked,
    service,
)

if TYPE_CHECKING:
    from credbroker.domain.clients import Client


def claims(granted: Granted) -> Any:
    """Return the claims of a token as anybody reads them."""
    return peek(granted.token.value)[1]


async def exchanged(
    world: GrantingWorld, replica: IssuingReplica, client: Client = FTS, **changes: Any
) -> Granted:
    """Exchange a token of Rucio's for a refresh token."""
    subject = changes.pop("subject", None) or await world.subject(replica)
    return await replica.granting.exchange(
        world.caller(client), asked(), subject, refresh=True, **changes
    )


def refresh_text(granted: Granted) -> Secret:
    """Return the refresh token that came."""
    assert granted.refresh_token is not None
    return granted.refresh_token


# -- client credentials --------------------------------------------------------------------------


async def test_a_service_gets_a_token_about_itself() -> None:
    """Its id is the `sub`, nothing is stored for it, and the trail has it before it is given."""
    world = GrantingWorld()
    replica = await world.replica()
    granted = await replica.granting.client_credentials(
        world.caller(RUCIO), asked("storage.read:/data/f", SE2)
    )
    found = await replica.signing.verify(granted.token.value)
    assert (found.token.subject, found.client_id) == ("rucio", "rucio")
    assert (str(found.token.scopes), found.token.audiences) == ("storage.read:/data/f", (SE2,))
    assert granted.seconds_left == 3600
    assert granted.refresh_token is None
    line = world.audit.last("sign")
    assert (line["by"], line["jti"], line["sub"]) == (
        "client_credentials",
        found.token.jti,
        "rucio",
    )
    assert granted.token.value.reveal() not in str(world.audit.lines)
    assert world.issued.history == []


async def test_what_was_decided_once_holds_for_that_client_and_that_request_alone() -> None:
    """It is remembered, and each token is a new one; another client's settings are its own."""
    narrow = service("narrow", scopes="storage.read:/other")
    world = GrantingWorld(RUCIO, narrow)
    granting = (await world.replica()).granting
    wanted = asked("storage.read:/data/f", SE2)
    given = [await granting.client_credentials(world.caller(RUCIO), wanted) for _ in range(2)]
    assert given[0].token.jti != given[1].token.jti
    assert given[0].token.scopes == given[1].token.scopes == wanted.scopes
    with pytest.raises(ScopeRefused):
        await granting.client_credentials(world.caller(narrow), wanted)
    other = await granting.client_credentials(
        world.caller(RUCIO), asked("storage.read:/data/g", SE2)
    )
    assert str(other.token.scopes) == "storage.read:/data/g"


async def test_without_a_trail_nothing_is_given() -> None:
    """Nor kept to be given later."""
    client = service("rucio", reuse_seconds=60)
    world = GrantingWorld(client)
    replica = await world.replica()
    world.audit.refused.add("sign")
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            await replica.granting.client_credentials(world.caller(client), asked())


async def test_the_token_of_the_last_seconds_is_given_again_where_that_is_wanted() -> None:
    """To the same client for the same; that stands in the trail as a delivery."""
    client = service("rucio", reuse_seconds=60)
    world = GrantingWorld(client)
    granting = (await world.replica()).granting
    first = await granting.client_credentials(world.caller(client), asked("storage.read:/", SE1))
    world.clock.advance(59)
    again = await granting.client_credentials(world.caller(client), asked("storage.read:/", SE1))
    assert again.token == first.token
    assert again.seconds_left == first.seconds_left - 59
    assert world.audit.last("delivery")["jti"] == first.token.jti
    world.clock.advance(1)
    later = await granting.client_credentials(world.caller(client), asked("storage.read:/", SE1))
    assert later.token.jti != first.token.jti


async def test_a_revoked_token_is_not_given_again() -> None:
    """What counts no more is of no use to anybody."""
    client = service("rucio", reuse_seconds=60)
    world = GrantingWorld(client)
    replica = await world.replica()
    first = await replica.granting.client_credentials(world.caller(client), asked())
    await replica.revoking.revoke(world.caller(client), first.token.value)
    again = await replica.granting.client_credentials(world.caller(client), asked())
    assert again.token.jti != first.token.jti


@pytest.mark.parametrize("grant", ["client_credentials", "token_exchange", "refresh_token"])
async def test_a_client_uses_the_grants_of_its_settings_only(grant: str) -> None:
    """Each of the three is refused to who has the other two."""
    world = GrantingWorld()
    granting = (await world.replica()).granting
    without = replace(FTS, grants=FTS.grants - {grant})
    caller, nothing = world.caller(without), Secret("token", "none")
    deeds = {
        "client_credentials": lambda: granting.client_credentials(caller, asked()),
        "token_exchange": lambda: granting.exchange(caller, asked(), nothing),
        "refresh_token": lambda: granting.refresh(caller, asked(), nothing),
    }
    with pytest.raises(ClientNotAllowed, match=grant):
        await deeds[grant]()


async def test_a_contained_client_gets_nothing_until_that_is_lifted() -> None:
    """At every replica that has read the marks; and what it had is no grant any more."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    subject = await world.subject(other)
    await replica.containing.revoke(Kind.CLIENT, f"{COMMUNITY}/rucio")
    world.clock.advance(31)  # as the reading of every two seconds would
    with pytest.raises(ClientNotAllowed, match="contained"):
        await other.granting.client_credentials(world.caller(RUCIO), asked())
    with pytest.raises(TokenRefused):
        await other.granting.exchange(world.caller(FTS), asked(), subject)
    await replica.containing.lift(Kind.CLIENT, f"{COMMUNITY}/rucio")
    world.clock.advance(31)
    await other.granting.client_credentials(world.caller(RUCIO), asked())


async def test_nothing_is_signed_without_recent_marks() -> None:
    """However narrow it is; after 30 s of a store that says nothing."""
    world = GrantingWorld()
    granting = (await world.replica()).granting
    await granting.client_credentials(world.caller(RUCIO), asked())
    world.clock.advance(31)
    world.marks.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))
    with pytest.raises(StoreUnavailable):
        await granting.client_credentials(world.caller(RUCIO), asked())


async def test_a_store_that_is_away_is_not_noticed_by_who_needs_nothing_stored() -> None:
    """A token about oneself, an exchange for an access token alone."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    world.clock.advance(29)

    away = StoreUnavailable("OpenBao/Vault does not answer.")
    world.issued.fail_next(away)
    world.marks.fail_next(away)
    await replica.granting.client_credentials(world.caller(RUCIO), asked())
    await replica.granting.exchange(world.caller(FTS), asked(), subject)


# -- exchange ------------------------------------------------------------------------------------


async def test_an_exchanged_token_is_within_the_one_it_came_from() -> None:
    """About the same subject, and it ends no later; who acts stands in `act`."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica, "storage.read:/data", SE1, SE2)
    world.clock.advance(600)
    granted = await replica.granting.exchange(
        world.caller(FTS), asked("storage.read:/data/f", SE2), subject
    )
    assert (granted.token.subject, claims(granted).text("client_id")) == ("rucio", "fts")
    assert claims(granted).raw("act") == {"sub": "fts"}
    assert granted.seconds_left == 3000
    line, before = world.audit.last("sign"), peek(subject)[1].text("jti")
    assert (line["by"], line["subject_jti"]) == ("token_exchange", before)


@pytest.mark.parametrize(
    ("scope", "audience"),
    [("storage.read:/", SE1), ("storage.create:/data/f", SE1), ("storage.read:/data", SE2),
     ("storage.read:/database", SE1), ("fts", SE1)],
)  # fmt: skip
async def test_what_the_shown_token_lacks_is_refused(scope: str, audience: str) -> None:
    """Also where both clients could have it by themselves."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica, "storage.read:/data", SE1)
    with pytest.raises(CredbrokerError) as error:
        await replica.granting.exchange(world.caller(FTS), asked(scope, audience), subject)
    assert error.value.code in {"scope_refused", "audience_refused"}


async def test_what_was_narrowed_once_holds_for_that_token_client_and_request_alone() -> None:
    """The same again is the same; a wider token, another client or another request is judged anew."""
    short = service("short", exchanges_for=["rucio"], longest_seconds=60)
    world = GrantingWorld(RUCIO, FTS, short)
    replica = await world.replica()
    give = replica.granting.exchange
    narrow = await world.subject(replica, "storage.read:/data/f", SE1)
    wide = await world.subject(replica, "storage.read:/data", SE1, SE2)
    first, again = [await give(world.caller(FTS), asked(), wide) for _ in range(2)]
    assert (first.token.scopes, first.token.audiences) == (again.token.scopes, (SE1, SE2))
    assert first.token.jti != again.token.jti
    assert (
        str((await give(world.caller(FTS), asked(), narrow)).token.scopes) == "storage.read:/data/f"
    )
    assert (await give(world.caller(FTS), asked(None, SE2), wide)).token.audiences == (SE2,)
    assert (await give(world.caller(short), asked(), wide)).seconds_left == 60


async def test_a_token_that_was_exchanged_before_is_exchanged_no_more_once_it_is_revoked() -> None:
    """What is remembered of it says nothing about whether it counts."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    await replica.granting.exchange(world.caller(FTS), asked(), subject)
    await replica.revoking.revoke(world.caller(RUCIO), subject)
    with pytest.raises(TokenRefused):
        await replica.granting.exchange(world.caller(FTS), asked(), subject)


async def test_tokens_of_a_client_that_is_not_named_are_not_exchanged() -> None:
    """One's own always are."""
    world = GrantingWorld()
    replica = await world.replica()
    mine = await replica.granting.client_credentials(world.caller(FTS), asked())
    with pytest.raises(ClientNotAllowed, match="another client"):
        await replica.granting.exchange(world.caller(RUCIO), asked(), mine.token.value)
    own = await replica.granting.exchange(world.caller(FTS), asked(), mine.token.value)
    assert claims(own).raw("act") is None


async def test_every_hand_stands_in_act_the_newest_outermost() -> None:
    """RFC 8693 section 4.1; a token that went through too many is exchanged no more."""
    world = GrantingWorld()
    replica = await world.replica()
    token = await world.subject(replica)
    actors: object = None
    for _ in range(MOST_ACTORS):
        granted = await replica.granting.exchange(world.caller(FTS), asked(), token)
        actors = {"sub": "fts"} if actors is None else {"sub": "fts", "act": actors}
        assert claims(granted).raw("act") == actors
        token = granted.token.value
    with pytest.raises(TokenRefused, match="too many hands"):
        await replica.granting.exchange(world.caller(FTS), asked(), token)


async def test_an_actor_shows_a_token_of_its_own() -> None:
    """One that was given to another client is refused."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    with pytest.raises(TokenRefused, match="actor"):
        await replica.granting.exchange(world.caller(FTS), asked(), subject, actor_token=subject)
    mine = (await replica.granting.client_credentials(world.caller(FTS), asked())).token.value
    granted = await replica.granting.exchange(world.caller(FTS), asked(), subject, actor_token=mine)
    assert claims(granted).raw("act") == {"sub": "fts"}


async def test_a_token_that_lost_its_capabilities_keeps_no_groups() -> None:
    """They would come back to life and widen it (WLCG token profile 1.3)."""
    world = GrantingWorld()
    replica = await world.replica()
    both = Statement(
        "rucio", "rucio", ScopeSet.parse("storage.read:/ wlcg.groups"), (SE1,), 600, ("/dteam",)
    )
    subject = (await replica.signing.sign(both)).value
    with pytest.raises(ScopeRefused, match="Groups alone"):
        await replica.granting.exchange(world.caller(FTS), asked("wlcg.groups"), subject)
    kept = await replica.granting.exchange(world.caller(FTS), asked(), subject)
    assert kept.token.groups == ("/dteam",)


PATHS = ["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c"]
ITEMS = [f"storage.{name}:{path}" for name in ("read", "create", "modify") for path in PATHS]
SCOPES = st.lists(st.sampled_from([*ITEMS, "compute.read", "fts"]), min_size=1, max_size=4)
AUDIENCES = st.lists(st.sampled_from([SE1, SE2, "https://x.cern.test"]), max_size=2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=SCOPES,
    steps=st.lists(st.tuples(SCOPES, AUDIENCES, st.integers(1, 9000)), min_size=1, max_size=4),
)
def test_no_row_of_exchanges_ever_widens_a_token(
    first: list[str], steps: list[tuple[list[str], list[str], int]]
) -> None:
    """Each is within all before it, and outlives none of them."""
    asyncio.run(exchange_in_a_row(first, steps))


async def exchange_in_a_row(
    first: list[str], steps: list[tuple[list[str], list[str], int]]
) -> None:
    """Exchange what may be; hold each result against every one before it."""
    world = GrantingWorld()
    replica = await world.replica()
    begin = Statement("rucio", "rucio", ScopeSet.of(first), (SE1, "https://x.cern.test"), 3600)
    made = [await replica.signing.sign(begin)]
    for scopes, audiences, seconds in steps:
        world.clock.advance(10)
        try:
            granted = await replica.granting.exchange(
                world.caller(FTS),
                asked(" ".join(scopes), *audiences, seconds=seconds),
                made[-1].value,
            )
        except CredbrokerError:
            continue
        token = granted.token
        for before in made:
            assert Right(token.scopes, token.audiences).within(
                Right(before.scopes, before.audiences)
            )
            assert token.expires_at <= before.expires_at
            assert token.subject == before.subject
        made.append(token)


# -- refresh tokens ------------------------------------------------------------------------------


async def test_a_refresh_token_comes_only_of_offline_access() -> None:
    """In the token that is shown; and only to a client that may use one."""
    world = GrantingWorld()
    replica = await world.replica()
    without = await world.subject(replica, "storage.read:/data")
    with pytest.raises(ScopeRefused, match="offline_access"):
        await exchanged(world, replica, subject=without)
    with pytest.raises(ScopeRefused, match="offline_access"):
        await replica.granting.exchange(world.caller(FTS), asked("offline_access"), without)
    with pytest.raises(ClientNotAllowed, match="refresh_token"):
        await exchanged(world, replica, replace(FTS, grants=FTS.grants - {"refresh_token"}))
    assert world.issued.history == []


async def test_what_fts_asks_for_gives_it_both_tokens() -> None:
    """The scope of the token it shows, `offline_access` in it: the right of its access token is less."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica, "offline_access storage.read:/data", SE1, SE2)
    granted = await replica.granting.exchange(
        world.caller(FTS),
        asked("offline_access storage.read:/data", SE1, SE2),
        subject,
        refresh=True,
    )
    assert str(granted.token.scopes) == "storage.read:/data"
    text = refresh_text(granted).reveal()
    assert text.replace("-", "").replace("_", "").replace(".", "").isalnum()
    again = await replica.granting.refresh(
        world.caller(FTS),
        asked("offline_access storage.read:/data", SE1, SE2),
        refresh_text(granted),
    )
    assert refresh_text(again).reveal() == text
    assert (again.token.subject, claims(again).raw("act")) == ("rucio", {"sub": "fts"})
    assert again.seconds_left == 3600
    assert text.rpartition(".")[2] not in str(world.issued.history)
    assert text not in str(world.audit.lines)


async def test_a_repeated_exchange_gets_the_same_refresh_token() -> None:
    """At any replica, whatever the order of what is named."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    subject = await world.subject(replica, "offline_access storage.read:/a storage.read:/b")
    texts = {
        refresh_text(
            await one.granting.exchange(world.caller(FTS), asked(scope), subject, refresh=True)
        )
        for one in (replica, other)
        for scope in ("storage.read:/a storage.read:/b", "storage.read:/b storage.read:/a")
    }
    assert len(texts) == 1
    assert len(world.issued.history) == 1
    assert world.audit.events().count("offline_begun") == 1


async def test_a_narrower_exchange_gets_another_refresh_token() -> None:
    """One is bound to its client, scopes and audiences."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    whole = await exchanged(world, replica, subject=subject)
    other = await exchanged(world, replica, ROTATING, subject=subject)
    narrow = await replica.granting.exchange(
        world.caller(FTS), asked("storage.read:/data/f"), subject, refresh=True
    )
    assert len({refresh_text(one) for one in (whole, other, narrow)}) == 3
    with pytest.raises(ScopeRefused):
        await replica.granting.refresh(
            world.caller(FTS), asked("storage.read:/data"), refresh_text(narrow)
        )


async def test_a_crash_between_store_and_answer_costs_nothing() -> None:
    """Whoever asks again, at another replica, gets the one that was stored."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    subject = await world.subject(replica)
    world.audit.refused.add("offline_begun")
    with pytest.raises(AuditUnavailable):
        await exchanged(world, replica, subject=subject)
    assert len(world.issued.history) == 1
    world.audit.refused.clear()
    granted = await exchanged(world, other, subject=subject)
    assert len(world.issued.history) == 1
    await replica.granting.refresh(world.caller(FTS), asked(), refresh_text(granted))


@pytest.mark.parametrize("acted", [True, False])
async def test_a_lost_answer_of_the_store_is_looked_into(*, acted: bool) -> None:
    """Whether the write had been taken or not."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    world.issued.fail_next(StoreUnclear("No answer came."), acted=acted, on="put")
    granted = await exchanged(world, replica, subject=subject)
    assert refresh_text(granted) == refresh_text(await exchanged(world, replica, subject=subject))


async def test_while_the_store_is_away_no_refresh_token_is_promised() -> None:
    """The refusal comes in time, and nothing was signed for it."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    signed = world.audit.events().count("sign")
    world.issued.put_seconds = 60.0
    asking = asyncio.ensure_future(exchanged(world, replica, subject=subject))
    await turns()
    world.clock.advance(2.4)
    await turns()
    assert not asking.done()
    world.clock.advance(0.1)
    with pytest.raises(StoreUnavailable):
        await asking
    assert world.audit.events().count("sign") == signed
    await world.clock.pass_time(300)
    world.issued.put_seconds = 0.0
    granted = await exchanged(world, replica, subject=subject)
    await replica.granting.refresh(world.caller(FTS), asked(), refresh_text(granted))


async def test_an_access_token_never_outlives_what_it_came_from() -> None:
    """A refresh token ends so long after its subject's token was issued, as that client's settings say."""
    client = service("rucio", offline_seconds=7200)
    world = GrantingWorld(client, FTS)
    replica = await world.replica()
    granted = await exchanged(world, replica)
    world.clock.advance(5000)
    late = await replica.granting.refresh(world.caller(FTS), asked(), refresh_text(granted))
    assert late.seconds_left == 2200
    world.clock.advance(2200)
    with pytest.raises(TokenRefused, match="run out"):
        await replica.granting.refresh(world.caller(FTS), asked(), refresh_text(granted))


async def test_somebody_elses_refresh_token_is_unknown() -> None:
    """As is one that was never given, or belongs nowhere."""
    world = GrantingWorld()
    replica = await world.replica()
    text = refresh_text(await exchanged(world, replica))
    beginning = text.reveal()[:25]
    for client, shown in (
        (RUCIO, text),
        (FTS, Secret("refresh token", beginning + "x" * 43)),
        (FTS, Secret("refresh token", f"{'i' * 22}.1.{'x' * 43}")),
        (FTS, Secret("refresh token", "nonsense")),
    ):
        with pytest.raises(TokenRefused):
            await replica.granting.refresh(world.caller(client), asked(), shown)
    await replica.granting.refresh(world.caller(FTS), asked(), text)


async def test_a_refresh_token_in_use_is_not_read_again() -> None:
    """By the replica that knows it; the store may be away meanwhile."""
    world = GrantingWorld()
    replica = await world.replica()
    text = refresh_text(await exchanged(world, replica))
    reads = world.issued.reads
    for _ in range(3):
        world.clock.advance(20)
        await replica.granting.refresh(world.caller(FTS), asked(), text)
    assert world.issued.reads == reads


# -- rotation ------------------------------------------------------------------------------------


async def test_a_client_that_rotates_gets_a_stored_successor() -> None:
    """Before the answer; the old one gives the same successor again for two minutes, anywhere."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    first = refresh_text(await exchanged(world, replica, ROTATING))
    second = refresh_text(await replica.granting.refresh(world.caller(ROTATING), asked(), first))
    assert second != first
    stored = world.issued.history[-1]
    assert stored.generation == 2
    assert stored.secret_hash != stored.previous_hash
    world.clock.advance(GRACE_SECONDS - 1)
    again = await other.granting.refresh(world.caller(ROTATING), asked(), first)
    assert refresh_text(again) == second
    third = refresh_text(await other.granting.refresh(world.caller(ROTATING), asked(), second))
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("generations", [1, 2])
async def test_a_late_replay_ends_them_all(generations: int) -> None:
    """Somebody else may have one of them; also if it is older than the last but one."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    first = newest = refresh_text(await exchanged(world, replica, ROTATING))
    for _ in range(generations):
        granted = await replica.granting.refresh(world.caller(ROTATING), asked(), newest)
        newest = refresh_text(granted)
    world.clock.advance(GRACE_SECONDS)
    with pytest.raises(TokenRefused, match="all are ended"):
        await replica.granting.refresh(world.caller(ROTATING), asked(), first)
    assert world.audit.last("offline_ended")["client_id"] == "rotating"
    with pytest.raises(TokenRefused, match="ended"):
        await other.granting.refresh(world.caller(ROTATING), asked(), newest)


async def test_two_at_once_get_the_same_successor() -> None:
    """At two replicas, of which the store lets one write."""
    world = GrantingWorld()
    replicas = await world.replica(), await world.replica()
    first = refresh_text(await exchanged(world, replicas[0], ROTATING))
    both = await asyncio.gather(
        *(one.granting.refresh(world.caller(ROTATING), asked(), first) for one in replicas)
    )
    assert refresh_text(both[0]) == refresh_text(both[1])
    assert world.issued.history[-1].generation == 2


async def test_a_successor_that_cannot_be_stored_is_not_given() -> None:
    """The old one goes on to count."""
    world = GrantingWorld()
    replica = await world.replica()
    first = refresh_text(await exchanged(world, replica, ROTATING))
    world.issued.fail_next(StoreUnavailable("OpenBao/Vault is sealed."), on="put")
    with pytest.raises(StoreUnavailable):
        await replica.granting.refresh(world.caller(ROTATING), asked(), first)
    granted = await replica.granting.refresh(world.caller(ROTATING), asked(), first)
    assert refresh_text(granted) != first


async def test_a_refusal_replaces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown counts as before, however late its client comes with a better request."""
    world = GrantingWorld()
    replica = await world.replica()
    first = refresh_text(await exchanged(world, replica, ROTATING))
    with pytest.raises(ScopeRefused):
        await replica.granting.refresh(world.caller(ROTATING), asked("storage.read:/"), first)

    async def missing(_: Statement) -> Any:
        raise KeysMissing("There is no key.")

    with monkeypatch.context() as patch:
        patch.setattr(replica.signing, "sign", missing)
        with pytest.raises(KeysMissing):
            await replica.granting.refresh(world.caller(ROTATING), asked(), first)
    world.clock.advance(3 * GRACE_SECONDS)
    granted = await replica.granting.refresh(world.caller(ROTATING), asked(), first)
    assert world.issued.history[-1].generation == 2
    assert refresh_text(granted) != first


async def test_what_was_exchanged_ends_with_the_client_it_came_from() -> None:
    """An operator who contains Rucio ends what FTS has of Rucio's."""
    world = GrantingWorld()
    replica = await world.replica()
    text = refresh_text(await exchanged(world, replica))
    world.clock.advance(1)
    await replica.containing.revoke(Kind.CLIENT, f"{COMMUNITY}/rucio")
    with pytest.raises(TokenRefused, match="operator"):
        await replica.granting.refresh(world.caller(FTS), asked(), text)


async def test_without_a_key_nobody_is_answered_with_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing is written as if there were one."""
    world = GrantingWorld()
    replica = await world.replica()

    async def missing(_: Statement) -> Any:
        raise KeysMissing("There is no key.")

    monkeypatch.setattr(replica.signing, "sign", missing)
    with pytest.raises(KeysMissing):
        await replica.granting.client_credentials(world.caller(RUCIO), asked())
    assert "sign" not in world.audit.events()
