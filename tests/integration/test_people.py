"""People log in at their issuer and get tokens that a community's own issuer signs, by their groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from credbroker.demo.issuer import Endpoint, faults
from credbroker.domain.secret import Secret
from credbroker.wire.jwt import read_access_token
from tests.integration.broker_world import ACCESS_SECONDS, READ, Served
from tests.integration.test_htvault_reads import Client, claims

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.domain.tokens import AccessToken
    from tests.answers import Answer
    from tests.integration.broker_world import BrokerWorld, Replica

URL = "https://tokens.example.org:8200/dteam/"
SE1, SE2 = "https://se1.example.org", "https://se2.example.org"
RULES = {
    "rules": [
        {
            "when": {"groups": ["/dteam"]},
            "allow": {"scopes": ["storage.read:/", "storage.create:/home"], "audiences": [SE1]},
        },
        {
            "when": {"groups": ["/dteam"], "subjects": ["nobody"]},
            "allow": {"scopes": ["storage.modify:/"], "audiences": [SE1]},
        },
    ],
    "local_users": [
        {
            "when": {"groups": ["/dteam"]},
            "names": ["grid*"],
            "allow": {"scopes": ["storage.create:/home/{username}"], "audiences": [SE1]},
        }
    ],
}


def join(world: BrokerWorld, *groups: str) -> None:
    """Put everybody into these groups from now on."""
    for person in world.issuer._state.people.values():
        object.__setattr__(person, "groups", groups)


def signed_for(folder: Path) -> dict[str, Any]:
    """Return settings of a broker whose people a community signs for, by rules in `folder`."""
    rights = folder / "rights.d"
    rights.mkdir()
    (rights / "dteam.yaml").write_text(yaml.safe_dump(RULES))
    return {
        "more": {"communities": {"dteam": {"url": URL, "rights_folder": str(rights)}}},
        "signed_by": "dteam",
        "roles": {"default": {"scopes": ["openid", "offline_access", "wlcg.groups"]}},
    }


class People:
    """The broker, and the groups of its people at their issuer."""

    def __init__(self, world: BrokerWorld, broker: Replica) -> None:
        self.world = world
        self.broker = broker

    def have(self, *groups: str) -> None:
        """Put everybody into these groups from now on."""
        join(self.world, *groups)

    def read(self, answer: Answer) -> AccessToken:
        """Return the token of an answer, its claims unverified."""
        assert answer.status == 200, answer
        value = Secret("access token", str(answer.json["access_token"]))
        return read_access_token(value, self.world.clock.now())


@pytest.fixture
async def people(broker_world: BrokerWorld, tmp_path: Path) -> People:
    """Everybody is in the group, and a community signs for them."""
    broker = await broker_world.replica(**signed_for(tmp_path))
    found = People(broker_world, broker)
    found.have("/dteam")
    return found


async def test_a_person_gets_what_their_group_gives_signed_by_the_community(
    people: People,
) -> None:
    """It verifies by the keys that the community publishes."""
    broker = people.broker
    lease = await broker.log_in()
    token = people.read(await broker.token(lease, "storage.read:/data", audiences=[SE1]))
    assert (token.issuer_url, str(token.scopes), token.audiences) == (
        URL,
        "storage.read:/data",
        (SE1,),
    )
    assert token.subject == people.world.grant_of().subject
    published = await broker.ask("GET", "/dteam/jwks")
    assert token.key_id in {key["kid"] for key in published.json["keys"]}
    whole = people.read(await broker.token(lease, "storage.read:/", "storage.create:/home"))
    assert whole.audiences == (SE1,)
    lines = people.world.audit_lines()
    assert [line["jti"] for line in lines if line["event"] == "sign"] == [token.jti, whole.jti]
    assert people.world.refreshes_seen() == 1


async def test_what_no_rule_gives_is_refused_in_words(people: People) -> None:
    """A scope, an audience, a path."""
    lease = await people.broker.log_in()
    for scopes, audience in (
        ("storage.modify:/x", SE1),
        ("storage.read:/x", SE2),
        ("storage.read:/a+b", SE1),
    ):
        answer = await people.broker.token(lease, scopes, audiences=[audience])
        assert answer.status == 403, answer
        assert answer.error in {"outside_ceiling", "audience_refused", "scope_refused"}


async def test_who_loses_the_group_is_refused_from_the_next_refresh_on(people: People) -> None:
    """And has it back when they are in it again."""
    broker, world = people.broker, people.world
    lease = await broker.log_in()
    people.read(await broker.token(lease, "storage.read:/data", audiences=[SE1]))
    people.have("/other")
    again = await broker.token(lease, "storage.read:/data", audiences=[SE1])
    assert again.status == 200
    world.clock.leap(ACCESS_SECONDS)
    gone = await broker.token(lease, "storage.read:/data", audiences=[SE1])
    assert (gone.status, gone.error) == (403, "scope_refused")
    people.have("/dteam")
    world.clock.leap(ACCESS_SECONDS)
    people.read(await broker.token(lease, "storage.read:/data", audiences=[SE1]))


async def test_unmodified_clients_read_narrow_tokens_that_are_signed_here(people: People) -> None:
    """On both of HTVault's paths; what is asked for beyond the rules is not given."""
    alice = Client(people.broker, await people.broker.log_in())
    for kind in ("sts", "creds"):
        read = claims(await alice.read(f"scopes=storage.read:/job&audience={SE1}", kind=kind))
        assert (read["iss"], read["scope"], read["aud"]) == (URL, "storage.read:/job", [SE1])
        assert read["wlcg.ver"] == "1.0"
    whole = claims(await alice.read())
    assert (whole["iss"], whole["aud"]) == (URL, [SE1])
    refused = await alice.read(f"scopes=storage.modify:/job&audience={SE1}", kind="sts")
    assert refused.status >= 400


async def test_a_job_lives_on_narrow_tokens_that_are_signed_here(people: People) -> None:
    """Its lease reaches no wider than the person's rights."""
    broker = people.broker
    lease = await broker.log_in()
    job = await broker.job_lease(lease, scopes=["storage.read:/job"], audiences=[SE1])
    token = people.read(await broker.ask("POST", "/api/v1/tokens", job, {}))
    assert (token.issuer_url, str(token.scopes)) == (URL, "storage.read:/job")
    wider = await broker.ask(
        "POST", "/api/v1/leases", lease,
        {"job": "j", "scopes": ["storage.modify:/"], "audiences": [SE1], "lifetime_seconds": 60},
    )  # fmt: skip
    assert wider.status == 403


async def test_an_issuer_that_follows_no_token_profile_can_vouch_for_people(
    people: People,
) -> None:
    """As EGI Check-in, whose tokens have no `wlcg.ver`; those that are signed here do."""
    people.world.issuer.faults.on(Endpoint.TOKEN, faults.wlcg_version(None), times=None)
    lease = await people.broker.log_in()
    token = people.read(await people.broker.token(lease, "storage.read:/data", audiences=[SE1]))
    assert (token.issuer_url, token.version) == (URL, "1.0")


async def test_an_access_point_gets_tokens_about_its_users(people: People) -> None:
    """As HTCondor's local credentials: one standing lease, a token about each user that is named."""
    broker = people.broker
    lease = await broker.log_in()

    def entry(user: str) -> dict[str, object]:
        scopes = [f"storage.create:/home/{user}"]
        return {"lease_token": lease, "scopes": scopes, "audiences": [SE1], "about": user}

    users = ("grid1", "grid2", "root")
    asked = {"entries": [entry(user) for user in users]}
    answer = await broker.ask("POST", "/api/v1/tokens:batch", body=asked)
    one, two, root = answer.json["entries"]
    for user, given in (("grid1", one), ("grid2", two)):
        value = Secret("access token", str(given["given"]["access_token"]))
        token = read_access_token(value, people.world.clock.now())
        assert (token.issuer_url, token.subject) == (URL, user)
        assert str(token.scopes) == f"storage.create:/home/{user}"
    assert root["problem"]["error"] == "scope_refused"


async def test_a_served_broker_signs_for_people_before_and_after_a_crash(
    broker_world: BrokerWorld, tmp_path: Path, unused_tcp_port: int
) -> None:
    """By keys and a word of the issuer that outlive it; the issuer's own token is nowhere in an answer."""
    world, wanted = broker_world, signed_for(tmp_path)
    join(world, "/dteam")
    folder = world.write_settings(
        "people", port=unused_tcp_port, more=wanted.pop("more"), issuer=wanted
    )
    served = Served(
        f"https://127.0.0.1:{unused_tcp_port}", world, folder=folder,
        log_file=world.folder / "people.log",
    )  # fmt: skip
    await served.start("one")
    try:
        lease = await served.log_in()
        given = await served.token(lease, "storage.read:/data", audiences=[SE1])
        assert (given.status, given.json["issuer_url"]) == (200, URL), given
        narrower: list[dict[str, list[str]]] = [{"audiences": []}, {}, {"scopes": ["wlcg.groups"]}]
        for asked in narrower:
            answer = await served.ask("POST", "/api/v1/tokens", lease, asked)
            assert answer.status == 403 or answer.json["issuer_url"] == URL, answer
        await served.kill()
        await served.start("one")
        again = await served.token(lease, "storage.read:/data", audiences=[SE1])
        assert (again.status, again.json["issuer_url"]) == (200, URL), again
        keys = {key["kid"] for key in (await served.ask("GET", "/dteam/jwks")).json["keys"]}
        for one in (given, again):
            value = Secret("access token", str(one.json["access_token"]))
            assert read_access_token(value, world.clock.now()).key_id in keys
    finally:
        await served.close()
    assert world.refreshes_seen() == 1


async def test_an_outage_that_lasts_is_bridged_for_the_storage_that_is_listed(
    broker_world: BrokerWorld,
) -> None:
    """After five minutes, and for nothing else; it is on record in OpenBao before."""
    world = broker_world
    bridge = {"upstream": world.issuer_name, "audiences": [SE1]}
    broker = await world.replica(more={"communities": {"dteam": {"url": URL, "bridge": bridge}}})
    lease = await broker.log_in()
    assert (await broker.token(lease, READ)).json["issuer_url"] == world.issuer.url
    await world.issuer.stop()
    world.clock.leap(ACCESS_SECONDS)
    assert broker.daemon is not None
    engine, deeds = broker.daemon.engine, broker.daemon.deeds
    for _ in range(10):
        early = await broker.token(lease, "storage.read:/a", audiences=[SE1])
        assert early.status == 503, early
        await engine.beating.beat()
        await deeds.finish()
        world.clock.leap(30)
    await engine.beating.beat()
    await deeds.finish()
    given = await broker.token(lease, "storage.read:/a", audiences=[SE1])
    assert (given.status, given.json["issuer_url"]) == (200, URL), given
    for scopes, audience in (("storage.read:/a", SE2), ("storage.create:/", SE2)):
        assert (await broker.token(lease, scopes, audiences=[audience])).status == 503
    assert await engine.marks.bridged_until(world.issuer_name) is not None
    assert [line["event"] for line in world.audit_lines()].count("bridge") == 1
