"""The client writes once, says what is unclear, finds the active node and heals its own login."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from credbroker.domain.errors import (
    BadSettings,
    ClockOff,
    StoreMisconfigured,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.secret import Secret
from credbroker.ports import HttpAnswer, NoAnswerError, NotSentError, StaleVersionError
from credbroker.stores.lookout import PAUSE_SECONDS
from credbroker.stores.vault import (
    FAILOVER_SECONDS,
    LOGIN_PAUSE_SECONDS,
    LOOK_AGAIN_SECONDS,
    VaultClient,
)
from credbroker.stores.vault_answers import age_seconds, json_of
from credbroker.stores.vault_logins import AppRoleLogin, KubernetesLogin
from tests.fakes.clock import FakeClock
from tests.fakes.door import FakeDoor, Reply, Sent, answer
from tests.fakes.entropy import FakeEntropy

T = TypeVar("T")

ONE, TWO = "https://vault1.test", "https://vault2.test"
PATH = "credbroker/data/grants/x"
REDIRECT = answer(307, None, location="https://elsewhere.test/")
DENIED = answer(403, {"errors": ["permission denied"]})


class Cluster:
    """A Vault that gives out tokens, takes the newest one only, and knows its active node."""

    def __init__(self, active: str = ONE, token_seconds: float = 3600) -> None:
        self.active = active
        self.token_seconds = token_seconds
        self.tokens = 0
        self.expired = False

    def __call__(self, sent: Sent) -> Reply:
        if not sent.url.startswith(self.active):
            return answer(429) if sent.url.endswith("sys/health") else REDIRECT
        if sent.url.endswith("sys/health"):
            return answer(200, {})
        if sent.url.endswith("auth/approle/login"):
            self.tokens += 1
            self.expired = False
            return self._auth()
        if sent.headers.get("X-Vault-Token") != f"s.token-{self.tokens}" or self.expired:
            return DENIED
        return self._auth() if sent.url.endswith("renew-self") else answer(200, {"data": {}})

    def _auth(self) -> HttpAnswer:
        auth = {"client_token": f"s.token-{self.tokens}", "lease_duration": self.token_seconds}
        return answer(200, {"auth": auth})


def role(
    addresses: list[str], door: FakeDoor, clock: FakeClock, **changes: Callable[[], Secret]
) -> VaultClient:
    """Return a client of the cluster behind `door`."""
    halves = {
        "role_id": lambda: Secret("AppRole role id", "role-id"),
        "secret_id": lambda: Secret("AppRole secret id", "secret-id"),
    }
    login = AppRoleLogin("approle", **halves | changes)
    return VaultClient(door, addresses, login, clock=clock, entropy=FakeEntropy(), seconds=5)


async def waited_out(clock: FakeClock, request: Coroutine[Any, Any, T]) -> T:
    """Return what a request comes to, letting time pass for as long as it may wait."""
    waiting = asyncio.ensure_future(request)
    await clock.pass_time(FAILOVER_SECONDS + 1)
    return waiting.result()


@pytest.fixture
def cluster() -> Cluster:
    """The cluster, for the test to break."""
    return Cluster()


@pytest.fixture
def door(cluster: Cluster) -> FakeDoor:
    """The way to it."""
    return FakeDoor(cluster)


@pytest.fixture
async def client(door: FakeDoor, clock: FakeClock) -> VaultClient:
    """A client of one address that logged in a while ago; what it sent for that is forgotten."""
    made = role([ONE], door, clock)
    await made.log_in()
    clock.advance(LOGIN_PAUSE_SECONDS)
    door.sent.clear()
    return made


async def test_a_login_shows_both_halves_and_no_token(door: FakeDoor, clock: FakeClock) -> None:
    """By POST, at the mount of the settings."""
    await role([ONE + "/"], door, clock).log_in()
    (sent,) = door.sent
    assert (sent.method, sent.url) == ("POST", f"{ONE}/v1/auth/approle/login")
    assert json.loads(sent.body or b"") == {"role_id": "role-id", "secret_id": "secret-id"}
    assert "X-Vault-Token" not in sent.headers


@pytest.mark.parametrize("status", [400, 403])
async def test_a_refused_login_is_the_operators_to_mend(
    door: FakeDoor, clock: FakeClock, status: int
) -> None:
    """Its sentence holds neither half."""
    door.reply_next(answer(status, {"errors": ["invalid role or secret ID"]}))
    with pytest.raises(StoreMisconfigured, match="AppRole login"):
        await role([ONE], door, clock).log_in()


async def test_a_login_at_a_server_that_fails_is_no_fault_of_the_settings(
    clock: FakeClock,
) -> None:
    """A standby that has just started does, for a moment: a broker that starts then is started again."""
    with pytest.raises(StoreUnavailable, match="500"):
        await role(NODES, FakeDoor(lambda _: answer(500)), clock).log_in()


async def test_a_pod_logs_in_by_its_service_account(clock: FakeClock) -> None:
    """By POST, at the mount and as the role of the settings."""
    auth = {"client_token": "s.token-1", "lease_duration": 3600}
    door = FakeDoor(lambda _: answer(200, {"auth": auth}))
    login = KubernetesLogin("cluster", "credbroker", lambda: Secret("account", "header.body.sign"))
    pod = VaultClient(door, [ONE], login, clock=clock, entropy=FakeEntropy(), seconds=5)
    await pod.log_in()
    (sent,) = door.sent
    assert (sent.method, sent.url) == ("POST", f"{ONE}/v1/auth/cluster/login")
    assert json.loads(sent.body or b"") == {"role": "credbroker", "jwt": "header.body.sign"}
    door.reply_next(answer(403, {"errors": ["permission denied"]}))
    with pytest.raises(StoreMisconfigured, match="Kubernetes login"):
        await pod.log_in()


@pytest.mark.parametrize(
    "fields", [{}, {"auth": None}, {"auth": {"client_token": 5, "lease_duration": 1}}, []]
)
async def test_a_login_answered_by_something_else_is_no_login(
    door: FakeDoor, clock: FakeClock, fields: object
) -> None:
    """Such as a proxy's page."""
    door.reply_next(answer(200, fields))
    with pytest.raises(StoreUnavailable):
        await role([ONE], door, clock).log_in()


async def test_reads_and_writes_carry_the_token(client: VaultClient, door: FakeDoor) -> None:
    """Writes go by POST, which nothing on the way repeats."""
    assert await client.get(PATH) is not None
    await client.post(PATH, {"a": 1})
    assert [(one.method, one.url) for one in door.sent] == [
        ("GET", f"{ONE}/v1/{PATH}"),
        ("POST", f"{ONE}/v1/{PATH}"),
    ]
    assert all(one.headers["X-Vault-Token"] == "s.token-1" for one in door.sent)
    assert json.loads(door.sent[1].body or b"") == {"a": 1}


async def test_what_is_not_there_is_none(client: VaultClient, door: FakeDoor) -> None:
    """And no error."""
    door.reply_next(answer(404, {"errors": []}))
    assert await client.get(PATH) is None


# A refused token


@pytest.mark.parametrize("write", [False, True])
async def test_a_refused_token_leads_to_one_login_and_one_more_try(
    client: VaultClient, cluster: Cluster, door: FakeDoor, write: bool
) -> None:
    """Incident 16: the broker's own token expired; it recovers by itself."""
    cluster.expired = True
    await (client.post(PATH, {"a": 1}) if write else client.get(PATH))
    assert [url.rpartition("/v1/")[2] for url in door.urls()] == [PATH, "auth/approle/login", PATH]
    assert door.sent[-1].headers["X-Vault-Token"] == "s.token-2"


async def test_a_request_refused_twice_is_the_operators_to_mend(
    client: VaultClient, door: FakeDoor
) -> None:
    """Bounded: two tries and one login, then a worded error; nothing is deleted."""
    door.reply_next(DENIED, DENIED, to=PATH)
    with pytest.raises(StoreMisconfigured):
        await client.get(PATH)
    assert len(door.sent) == 3


async def test_many_refused_requests_share_one_login(
    client: VaultClient, cluster: Cluster, door: FakeDoor
) -> None:
    """A hundred callers meet the expired token at once."""
    cluster.expired = True
    await asyncio.gather(*(client.get(PATH) for _ in range(100)))
    assert cluster.tokens == 2
    assert len(door.sent) == 201


async def test_a_login_that_fails_in_between_leaves_the_write_undone(
    client: VaultClient, cluster: Cluster, door: FakeDoor
) -> None:
    """It was refused, so it was not carried out."""
    cluster.expired = True
    door.reply_next(answer(503), to="login")
    with pytest.raises(StoreUnavailable) as error:
        await client.post(PATH, {})
    assert not isinstance(error.value, StoreUnclear)


async def test_requests_that_stay_denied_cause_no_storm_of_logins(
    client: VaultClient, cluster: Cluster, door: FakeDoor, clock: FakeClock
) -> None:
    """Incident 9: the policy lacks a path; a hundred reads of it in one second cost one login."""
    denied = FakeDoor(lambda sent: DENIED if sent.url.endswith("denied") else cluster(sent))
    client._door = denied
    for _ in range(100):
        clock.advance(0.01)
        with pytest.raises(StoreMisconfigured, match="does not let"):
            await client.get("denied")
    assert cluster.tokens == 2
    assert len(denied.sent) == 100 + 2
    assert await client.get(PATH) is not None


async def test_many_denied_requests_at_once_share_one_login(
    client: VaultClient, cluster: Cluster
) -> None:
    """Those that waited for it as well, and those that come right after."""
    client._door = FakeDoor(lambda sent: DENIED if sent.url.endswith("denied") else cluster(sent))
    for _ in range(2):
        got = await asyncio.gather(
            *(client.get("denied") for _ in range(50)), return_exceptions=True
        )
        assert {type(one) for one in got} == {StoreMisconfigured}
    assert cluster.tokens == 2


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (answer(503), StoreUnavailable),
        (NotSentError(), StoreUnavailable),
        (DENIED, StoreMisconfigured),
    ],
)
async def test_a_failed_login_is_not_tried_again_at_once_but_soon(
    client: VaultClient, door: FakeDoor, clock: FakeClock, reply: Reply, told: type[Exception]
) -> None:
    """Who comes meanwhile is told whose fault it was; after the pause one login heals it."""
    door.reply_next(*[DENIED] * 6, to=PATH)
    door.reply_next(reply, to="login")
    for _ in range(5):
        with pytest.raises(told) as failed:
            await client.get(PATH)
        assert type(failed.value) is told
    assert sum(url.endswith("login") for url in door.urls()) == 1
    clock.advance(LOGIN_PAUSE_SECONDS)
    assert await client.get(PATH) is not None
    assert door.sent[-1].headers["X-Vault-Token"] == "s.token-2"


# What an answer means


# A new engine answers so for its first moments, on the active node and on a standby.
UPGRADING = (
    "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief"
    " period and will resume service shortly."
)
PRIMARY_UPGRADING = (
    "Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be"
    " unavailable for a brief period and will resume service when the primary is finished."
)


@pytest.mark.parametrize(
    ("reply", "read", "write"),
    [
        (NoAnswerError(), StoreUnavailable, StoreUnclear),
        (NotSentError(), StoreUnavailable, StoreUnavailable),
        (REDIRECT, StoreUnavailable, StoreUnavailable),
        (answer(500, {"errors": ["x"]}), StoreUnavailable, StoreUnclear),
        (answer(502), StoreUnavailable, StoreUnclear),
        (answer(503, {"errors": ["Vault is sealed"]}), StoreUnavailable, StoreUnavailable),
        (answer(412), StoreUnavailable, StoreUnavailable),
        (answer(429), StoreUnavailable, StoreUnavailable),
        (answer(472), StoreUnavailable, StoreUnavailable),
        (answer(473), StoreUnavailable, StoreUnavailable),
        (answer(400, {"errors": [UPGRADING]}), StoreUnavailable, StoreUnavailable),
        (answer(400, {"errors": [PRIMARY_UPGRADING]}), StoreUnavailable, StoreUnavailable),
        (answer(400, {"errors": ["no"]}), StoreMisconfigured, StoreMisconfigured),
        (answer(405), StoreMisconfigured, StoreMisconfigured),
        (
            answer(400, {"errors": ["check-and-set parameter did not match the current version"]}),
            StaleVersionError,
            StaleVersionError,
        ),
    ],
)
async def test_an_answer_means_what_the_table_says(
    client: VaultClient,
    clock: FakeClock,
    reply: Reply,
    read: type[Exception],
    write: type[Exception],
) -> None:
    """Unclear is only what may or may not have been written; it is told though it never changes."""
    client._door = FakeDoor(lambda _: reply)
    with pytest.raises(read) as failed:
        await waited_out(clock, client.get(PATH))
    assert type(failed.value) is read
    with pytest.raises(write) as failed:
        await waited_out(clock, client.post(PATH, {}))
    assert type(failed.value) is write


async def test_an_unclear_write_is_not_sent_again(client: VaultClient, door: FakeDoor) -> None:
    """Only a read can tell."""
    door.reply_next(NoAnswerError())
    with pytest.raises(StoreUnclear):
        await client.post(PATH, {})
    assert len(door.sent) == 1


async def test_errors_hold_nothing_of_the_answer(client: VaultClient, door: FakeDoor) -> None:
    """Incident 24: it may hold what was written."""
    door.reply_next(
        answer(400, {"errors": ["refresh-token-value"]}), answer(500, "refresh-token-value")
    )
    for _ in range(2):
        with pytest.raises((StoreMisconfigured, StoreUnclear)) as error:
            await client.post(PATH, {})
        assert "refresh-token-value" not in f"{error.value!r} {error.value.remedy}"


# Several nodes


async def test_the_active_node_is_asked_first(clock: FakeClock) -> None:
    """Standbys answer reads from a stale state."""
    door = FakeDoor(Cluster(active=TWO))
    client = role([ONE, TWO], door, clock)
    await client.log_in()
    door.sent.clear()
    await client.get(PATH)
    await client.post(PATH, {})
    assert door.urls() == [f"{TWO}/v1/{PATH}"] * 2


@pytest.mark.parametrize("reply", [NotSentError(), REDIRECT, answer(301)])
async def test_a_node_that_is_not_active_is_left_for_the_next(
    clock: FakeClock, reply: Reply
) -> None:
    """Nothing is sent to where a redirect points, and the next request starts at the good node."""
    cluster = Cluster()
    door = FakeDoor(cluster)
    client = role([ONE, TWO], door, clock)
    await client.log_in()
    cluster.active = TWO
    door.sent.clear()
    door.reply_next(reply, to=ONE)
    await client.post(PATH, {})
    await client.post(PATH, {})
    asked = [url for url in door.urls() if PATH in url]
    assert asked == [f"{at}/v1/{PATH}" for at in (ONE, TWO, TWO)]


async def test_many_requests_find_the_new_active_node_together(clock: FakeClock) -> None:
    """None of them gives up because another has already moved the old one to the end."""
    cluster = Cluster()
    door = FakeDoor(cluster)
    client = role([ONE, TWO, "https://vault3.test"], door, clock)
    await client.log_in()
    cluster.active = "https://vault3.test"
    await asyncio.gather(*(client.get(PATH) for _ in range(20)))


async def test_a_silent_node_is_left_for_reads_only(clock: FakeClock) -> None:
    """A write that it may have taken is not made elsewhere."""
    door = FakeDoor(Cluster())
    client = role([ONE, TWO], door, clock)
    await client.log_in()
    door.reply_next(NoAnswerError(), to=ONE)
    with pytest.raises(StoreUnclear):
        await client.post(PATH, {})
    door.reply_next(NoAnswerError(), to=ONE)
    door.reply_next(answer(200, {}), to=TWO)
    assert await client.get(PATH) is not None


# While no node serves


NODES = [ONE, TWO, "https://vault3.test"]


def without_leader(cluster: Cluster, dead: str) -> Callable[[Sent], Reply]:
    """Return how three nodes answer of which one has died: its standbys still point to it."""
    return lambda sent: NotSentError("refused") if sent.url.startswith(dead) else cluster(sent)


@pytest.mark.parametrize("write", [False, True])
async def test_a_request_waits_for_a_new_leader(clock: FakeClock, write: bool) -> None:
    """It goes out once the new one is there, and no later than a look around takes."""
    cluster = Cluster()
    door = FakeDoor(cluster)
    client = role(NODES, door, clock)
    await client.log_in()
    client._door = door = FakeDoor(without_leader(cluster, ONE))
    asked = asyncio.ensure_future(client.post(PATH, {}) if write else client.get(PATH))
    await clock.pass_time(3)
    assert not asked.done()
    cluster.active = TWO
    await clock.pass_time(PAUSE_SECONDS)
    assert asked.result() is not None
    assert [url for url in door.urls() if PATH in url][-1] == f"{TWO}/v1/{PATH}"


async def test_one_looks_out_for_all_who_wait(clock: FakeClock) -> None:
    """A thousand that wait for three seconds ask as much as one does, but for their own tries."""
    cluster = Cluster()
    client = role(NODES, FakeDoor(cluster), clock)
    await client.log_in()
    client._door = door = FakeDoor(without_leader(cluster, ONE))
    asked = [asyncio.ensure_future(client.get(PATH)) for _ in range(1000)]
    await clock.pass_time(3)
    cluster.active = TWO
    clock.advance(PAUSE_SECONDS)
    await asyncio.gather(*asked)
    looks = sum(url.endswith("sys/health") for url in door.urls())
    assert looks <= len(NODES) * (3 / PAUSE_SECONDS + 2)
    assert len(door.sent) - looks <= (len(NODES) + 1) * len(asked)


async def test_without_any_leader_a_request_is_given_up_in_time(clock: FakeClock) -> None:
    """Its sentence says why; who asked the broker is answered within nine seconds."""
    cluster = Cluster()
    client = role(NODES, FakeDoor(cluster), clock)
    await client.log_in()
    cluster.active = "https://nobody.test"
    asked = asyncio.ensure_future(client.get(PATH))
    await clock.pass_time(FAILOVER_SECONDS - PAUSE_SECONDS)
    assert not asked.done()
    await clock.pass_time(2 * PAUSE_SECONDS)
    with pytest.raises(StoreUnavailable, match="without a leader"):
        asked.result()


async def test_nobody_waits_for_a_store_that_was_never_reached(
    door: FakeDoor, clock: FakeClock
) -> None:
    """A wrong address in the settings is told at once."""
    door.reply_next(NotSentError("connection refused"))
    with pytest.raises(StoreUnavailable, match="connection refused"):
        await role([ONE], door, clock).log_in()


async def test_whoever_gets_through_tells_those_who_wait(clock: FakeClock) -> None:
    """Also where the addresses name standbys alone, none of which ever says that it is active."""
    cluster = Cluster()
    client = role(NODES[1:], FakeDoor(cluster), clock)
    client._door = FakeDoor(lambda sent: answer(429) if "health" in sent.url else REDIRECT)
    waiting = asyncio.ensure_future(client.get(PATH))
    await clock.pass_time(3)
    client._door = FakeDoor(
        lambda sent: answer(429) if "health" in sent.url else answer(200, {"data": {}})
    )
    assert await client.get(PATH) is not None
    await clock.pass_time(PAUSE_SECONDS)
    assert waiting.result() is not None


async def test_a_leader_that_handed_over_is_left_within_seconds(clock: FakeClock) -> None:
    """As a standby it passes requests on, so that nothing else would show it."""
    cluster = Cluster()
    door = FakeDoor(cluster)
    client = role(NODES, door, clock)
    await client.log_in()
    cluster.active = TWO
    passing = answer(200, {"data": {}})
    client._door = door = FakeDoor(
        lambda sent: passing if sent.url == f"{ONE}/v1/{PATH}" else cluster(sent)
    )
    await client.get(PATH)
    clock.advance(LOOK_AGAIN_SECONDS)
    for _ in range(10):
        await client.get(PATH)
    assert [url for url in door.urls() if PATH in url][1:] == [f"{TWO}/v1/{PATH}"] * 10
    assert sum(url.endswith("sys/health") for url in door.urls()) == 2


@pytest.mark.parametrize("reply", [NoAnswerError(), answer(500)])
async def test_what_became_of_a_write_is_asked_of_an_active_node(
    clock: FakeClock, reply: Reply
) -> None:
    """A standby answers reads while none leads, and would refuse the next write as well."""
    cluster = Cluster()
    client = role(NODES, FakeDoor(cluster), clock)
    await client.log_in()
    stale = answer(200, {"data": {"stale": True}})
    client._door = FakeDoor(
        lambda sent: answer(429) if "health" in sent.url else reply if sent.body else stale
    )
    with pytest.raises(StoreUnclear):
        await client.post(PATH, {})
    asked = asyncio.ensure_future(client.get(PATH))
    await clock.pass_time(3)
    assert not asked.done()
    client._door = FakeDoor(cluster)
    await clock.pass_time(PAUSE_SECONDS)
    found = asked.result()
    assert found is not None
    assert json_of(found) == {"data": {}}


async def test_where_no_node_ever_says_that_it_leads_an_unclear_write_is_not_for_ever(
    clock: FakeClock,
) -> None:
    """As where the addresses name standbys alone: once waited for, requests go on as they can."""
    client = role(NODES[1:], FakeDoor(Cluster()), clock)
    client._door = FakeDoor(
        lambda sent: answer(429) if "health" in sent.url else answer(200, {"data": {}})
    )
    client._unsure = True
    assert await waited_out(clock, client.get(PATH)) is not None
    assert await client.get(PATH) is not None


async def test_a_request_names_the_state_that_the_last_write_made(clock: FakeClock) -> None:
    """So that a standby that lags passes it on; a node's own health is never asked of another."""
    door = FakeDoor(Cluster())
    client = role([ONE, TWO], door, clock)
    await client.log_in()
    door.sent.clear()
    await client.get(PATH)
    door.reply_next(answer(200, {}, x_vault_index="state-7"))
    await client.post(PATH, {})
    await client.get(PATH)
    await client.post(PATH, {})
    clock.advance(LOOK_AGAIN_SECONDS)
    await client.get(PATH)
    indices = [one.headers.get("X-Vault-Index") for one in door.sent]
    assert indices == [None, None, "state-7", "state-7", None, "state-7"]
    assert door.sent[4].url.endswith("sys/health")
    assert door.sent[2].headers["X-Vault-Inconsistent"] == "forward-active-node"


# Staying logged in


async def test_the_token_is_renewed_at_half_its_life(clock: FakeClock) -> None:
    """An hour's token twenty times in ten hours, without a new login."""
    cluster = Cluster(token_seconds=1000)
    door = FakeDoor(cluster)
    client = role([ONE], door, clock)
    await client.log_in()
    staying = asyncio.ensure_future(client.stay_logged_in())
    await clock.pass_time(5000)
    staying.cancel()
    assert len(door.sent) == 1 + 10
    assert cluster.tokens == 1


async def test_a_token_near_its_longest_life_is_replaced(clock: FakeClock) -> None:
    """When a renewal gives less than half of what it gave before."""
    cluster = Cluster(token_seconds=1000)
    client = role([ONE], FakeDoor(cluster), clock)
    await client.log_in()
    staying = asyncio.ensure_future(client.stay_logged_in())
    await clock.pass_time(400)
    cluster.token_seconds = 100
    await clock.pass_time(101)
    staying.cancel()
    assert cluster.tokens == 2


async def test_a_token_that_expired_is_replaced_without_a_request(clock: FakeClock) -> None:
    """Incident 16: no restart, no person."""
    cluster = Cluster(token_seconds=100)
    door = FakeDoor(cluster)
    client = role([ONE], door, clock)
    await client.log_in()
    staying = asyncio.ensure_future(client.stay_logged_in())
    cluster.expired = True
    await clock.pass_time(51)
    assert cluster.tokens == 2
    assert await client.get(PATH) is not None
    staying.cancel()


@pytest.mark.parametrize("reply", [NotSentError(), answer(503), answer(500), NoAnswerError()])
async def test_an_outage_is_waited_out_in_growing_pauses(clock: FakeClock, reply: Reply) -> None:
    """Incident 19: an hour of it costs few requests; the token in hand stays in use."""
    cluster = Cluster(token_seconds=600)
    down = False
    door = FakeDoor(lambda sent: reply if down else cluster(sent))
    client = role([ONE], door, clock)
    await client.log_in()
    staying = asyncio.ensure_future(client.stay_logged_in())
    await clock.pass_time(1)
    down = True
    await clock.pass_time(3600)
    assert 10 < len(door.sent) < 40
    down = False
    await clock.pass_time(300)
    staying.cancel()
    assert cluster.tokens == 1


@pytest.mark.parametrize("seconds", [1, 60, 3600, 12 * 3600])
async def test_an_outage_of_any_length_costs_one_login_at_the_most(
    clock: FakeClock, seconds: int
) -> None:
    """Incident 18: a token that outlives the outage is kept; nobody needs to do anything after it."""
    cluster = Cluster(token_seconds=7200)
    down = False
    door = FakeDoor(lambda sent: NotSentError() if down else cluster(sent))
    client = role([ONE], door, clock)
    await client.log_in()
    staying = asyncio.ensure_future(client.stay_logged_in())
    await clock.pass_time(1)
    down = True
    await clock.pass_time(seconds)
    down, outlived = False, seconds < cluster.token_seconds
    cluster.expired = not outlived
    await clock.pass_time(600)
    assert await client.get(PATH) is not None
    assert cluster.tokens == (1 if outlived else 2)
    staying.cancel()


async def test_an_hour_of_denied_permission_costs_few_requests_and_shows(clock: FakeClock) -> None:
    """Incidents 16 and 19: unfit for as long as it lasts, and well again without a restart."""
    cluster = Cluster(token_seconds=600)
    refused = False
    door = FakeDoor(lambda sent: DENIED if refused else cluster(sent))
    client = role([ONE], door, clock)
    await client.log_in()
    staying = asyncio.ensure_future(client.stay_logged_in())
    await clock.pass_time(1)
    assert client.troubles() == []
    refused, before = True, len(door.sent)
    await clock.pass_time(330)
    assert client.troubles() == ["OpenBao/Vault refuses this replica's login."]
    await clock.pass_time(3600)
    assert len(door.sent) - before < 60
    refused, cluster.expired = False, True
    await clock.pass_time(300)
    assert client.troubles() == []
    assert await client.get(PATH) is not None
    staying.cancel()


async def test_a_refused_login_is_tried_again_too(clock: FakeClock) -> None:
    """As long as a secret file is being replaced, or the role is gone for a moment."""
    cluster = Cluster(token_seconds=100)
    door = FakeDoor(cluster)
    broken = False

    def secret_id() -> Secret:
        if broken:
            raise BadSettings("secret-id: the AppRole secret id cannot be read.")
        return Secret("AppRole secret id", "secret-id")

    client = role([ONE], door, clock, secret_id=secret_id)
    await client.log_in()
    staying = asyncio.ensure_future(client.stay_logged_in())
    cluster.expired = broken = True
    door.reply_next(DENIED, to="login")
    await clock.pass_time(120)
    broken = False
    await clock.pass_time(120)
    staying.cancel()
    assert cluster.tokens == 2


# Reading answers


@pytest.mark.parametrize(
    ("date", "off", "sentence"),
    [
        ("Mon, 01 Jun 2026 12:00:10 GMT", 0.0, ""),
        ("Mon, 01 Jun 2026 11:59:10 GMT", 60.0, ""),
        ("Mon, 01 Jun 2026 11:58:00 GMT", 130.0, "130 s ahead of"),
        ("Mon, 01 Jun 2026 14:00:10 GMT", -7200.0, "7200 s behind"),
        ("yesterday", 0.0, ""),
        ("Mon, 01 Jun 2026 09:00:00 -0000", 0.0, ""),
    ],
)
async def test_a_clock_that_is_off_is_noticed_with_each_answer(
    client: VaultClient, door: FakeDoor, date: str, off: float, sentence: str
) -> None:
    """The test's clock stands 10 s past noon; a `Date` that says no time changes nothing."""
    door.reply_next(answer(200, {"data": {}}, date=date))
    await client.get(PATH)
    assert client.seconds_off == off
    if sentence:
        (trouble,) = client.troubles()
        assert sentence in trouble
        with pytest.raises(ClockOff, match=sentence):
            client.check_clock()
        door.reply_next(answer(200, {"data": {}}, date="Mon, 01 Jun 2026 12:00:10 GMT"))
        await client.get(PATH)
    assert client.troubles() == []
    client.check_clock()


async def test_a_program_that_was_stopped_between_question_and_answer_is_not_off(
    cluster: Cluster, clock: FakeClock
) -> None:
    """The server said the time somewhere in between."""

    def slowly(sent: Sent) -> Reply:
        date = clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        clock.advance(300.0)
        said = cluster(sent)
        assert isinstance(said, HttpAnswer)
        return HttpAnswer(said.status, {**said.headers, "date": date}, said.body)

    client = role([ONE], FakeDoor(slowly), clock)
    await client.log_in()
    assert (client.seconds_off, client.troubles()) == (0.0, [])


def test_a_records_age_is_by_the_stores_own_clock() -> None:
    """Its `Date` against `created_time`; never negative, however fast its disk."""
    said = answer(200, {}, date="Mon, 01 Jun 2026 12:01:00 GMT")
    assert age_seconds("2026-06-01T12:00:00.999999999Z", said) == 60
    assert age_seconds("2026-06-01T12:09:00.1Z", said) == 0


@pytest.mark.parametrize(
    ("created", "date"),
    [
        ("yesterday", "Mon, 01 Jun 2026 12:01:00 GMT"),
        ("2026-06-01T12:00:00Z", "noon"),
        ("2026-06-01T12:00:00Z", ""),
    ],
)
def test_an_age_that_cannot_be_told_is_no_age(created: str, date: str) -> None:
    """A claim of unknown age must not look old."""
    with pytest.raises(StoreUnavailable):
        age_seconds(created, answer(200, {}, date=date))
    with pytest.raises(StoreUnavailable):
        age_seconds(created, answer(200, {}))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"5", b"\xff"])
def test_what_does_not_speak_the_api_is_not_the_store(body: bytes) -> None:
    """Such as a proxy."""
    with pytest.raises(StoreUnavailable):
        json_of(HttpAnswer(200, {}, body))
