"""A whole agent of a host: people come and go, some mean harm, the broker fails, the agent is killed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from credbroker.domain.errors import (
    BadSettings,
    BrokerUnreachable,
    CredbrokerError,
    LeaseEnded,
    LocalFileUnfit,
    NotAllowed,
)
from credbroker.domain.secret import Secret
from credbroker.edge.orders import Fresh, Order
from credbroker.edge.sessions import command, host_key
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.settings import SessionsSettings
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import deliveries, sessions
from credbroker.wire.jwt import read_access_token
from credbroker.wire.sessions import AgentAnswer, AskAgent
from tests.fakes.broker import access_token
from tests.fakes.clock import FakeClock
from tests.fakes.deliveries import HOST, FakeDeliveries
from tests.people import ALICE, BOB, EVE, as_root, hall, move_in

__all__ = ["hall"]

LIFE_SECONDS = 3600.0


class Tokens:
    """Gives a new token to whoever shows a living lease. Follows `edge.orders.Asker`."""

    most_at_once = 100

    def __init__(self, broker: FakeDeliveries) -> None:
        self._broker = broker
        self.given = 0

    async def ask(self, orders: Sequence[Order]) -> list[Fresh | CredbrokerError]:
        """Answer each by its own lease."""
        if self._broker.away is not None:
            raise self._broker.away
        return [self._one(order) for order in orders]

    def _one(self, order: Order) -> Fresh | CredbrokerError:
        if order.secret.reveal() not in self._broker.leases.values():
            return LeaseEnded("This lease was ended.")
        self.given += 1
        now = self._broker.clock.now()
        said = {"jti": f"jti-{self.given}", "scope": " ".join(order.scopes or ()),
                "aud": list(order.audiences or ())}  # fmt: skip
        value = access_token(now, seconds=LIFE_SECONDS, **said)  # type: ignore[arg-type] # jti among them
        return Fresh(read_access_token(value, now), LIFE_SECONDS / 2)


class LoginHost:
    """A login host with its broker, in a time of its own."""

    def __init__(self, hall: Path, state: Path) -> None:
        self.hall = hall
        self.clock = FakeClock()
        self.broker = FakeDeliveries(self.clock)
        self.tokens = Tokens(self.broker)
        self.said: list[str] = []
        self.names = {uid: f"u{uid}" for uid in range(64000, 64200)}
        self.settings = SessionsSettings(
            broker="https://broker.example.org:8200",
            state_folder=state,
            socket=state / "agent.sock",
            sessions_folder=hall,
        )

    async def serve(self) -> None:
        """Be an agent until cancelled."""
        send = self.broker.send
        host = Host(send, send, self.clock, SystemEntropy(), lambda: Secret("host assertion", "a"))
        await command.serve(
            self.settings, host, self.tokens, self.clock, self._say, look_up=self.names.__getitem__
        )

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        """Run an agent; at the end it is killed, as far as it can tell."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.serve())
            await self.until(self.settings.socket.exists)
            yield
            task.cancel()

    async def until(self, so: Callable[[], bool], *, step: float = 0.0) -> None:
        """Return once it is so, within real seconds; `step` seconds pass at each look."""
        async with asyncio.timeout(20):
            while not so():
                self.clock.advance(step)
                await asyncio.to_thread(lambda: None)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, each with a moment for the disk."""
        end = self.clock.elapsed() + seconds
        await self.until(lambda: self.clock.elapsed() >= end, step=2.0)

    async def ask(self, deed: str) -> AgentAnswer:
        """Ask the agent as root."""
        reader, writer = await asyncio.open_unix_connection(self.settings.socket)
        writer.write(AskAgent(deed).write() + b"\n")
        answer = AgentAnswer.read(await reader.read())
        writer.close()
        return answer

    def file(self, owner: tuple[int, int]) -> Path:
        """Return where a person finds the token."""
        return self.hall / str(owner[0]) / f"bt_u{owner[0]}"

    def holds(self, owner: tuple[int, int]) -> bytes:
        """Return what a person's file holds; nothing if there is none."""
        with contextlib.suppress(FileNotFoundError):
            return self.file(owner).read_bytes()
        return b""

    def _say(self, event: str, **fields: object) -> None:
        self.said.append(f"{event} {fields}")


@pytest.fixture
def login_host(hall: Path, tmp_path: Path) -> LoginHost:
    """Nobody is logged in."""
    return LoginHost(hall, tmp_path)


@as_root
async def test_tokens_are_there_from_the_moment_of_login(login_host: LoginHost) -> None:
    """The clock does not move between login and token; nothing is fetched for who is not there."""
    login_host.broker.order(ALICE[0])
    login_host.broker.order(BOB[0])
    async with login_host.agent():
        await login_host.until(lambda: login_host.broker.count("GET", deliveries.DELIVERIES) == 1)
        move_in(login_host.hall, EVE)
        move_in(login_host.hall, ALICE)
        await login_host.until(lambda: login_host.holds(ALICE) != b"")
        found = login_host.file(ALICE).stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*ALICE, 0o600)
        first = login_host.holds(ALICE)
        await login_host.until(lambda: login_host.holds(ALICE) != first, step=5.0)
        assert login_host.broker.count("POST", deliveries.DELIVERY_LEASE) == 1
        assert list((login_host.hall / str(EVE[0])).iterdir()) == []


@as_root
async def test_who_logs_out_is_served_no_more_and_again_after_the_next_login(
    login_host: LoginHost,
) -> None:
    """At once, with a new token."""
    login_host.broker.order(ALICE[0])
    folder = move_in(login_host.hall, ALICE)
    async with login_host.agent():
        await login_host.until(lambda: login_host.holds(ALICE) != b"")
        login_host.file(ALICE).unlink()
        folder.rmdir()
        await login_host.pass_time(2 * LIFE_SECONDS)
        assert login_host.tokens.given == 1
        move_in(login_host.hall, ALICE)
        await login_host.until(lambda: login_host.holds(ALICE) != b"")
    # One more if a look falls between the folder's coming and the kernel's word of it.
    assert login_host.tokens.given in {2, 3}


@as_root
async def test_people_who_mean_harm_get_nothing_and_delay_nobody(login_host: LoginHost) -> None:
    """Links, pipes and folders in the way are theirs alone; root's files stay as they are."""
    victim = login_host.hall / "shadow"
    victim.write_text("root's")
    victim.chmod(0o600)
    crowd = [(64100 + number, 64100 + number) for number in range(6)]
    for number, owner in enumerate(crowd):
        login_host.broker.order(owner[0], replaces_foreign=number % 2 == 0)
        move_in(login_host.hall, owner)
    login_host.file(crowd[0]).symlink_to(victim)
    os.mkfifo(login_host.file(crowd[1]))
    login_host.file(crowd[2]).mkdir()
    os.link(victim, login_host.file(crowd[3]))
    (login_host.hall / str(crowd[4][0])).chmod(0)
    login_host.file(crowd[5]).symlink_to("nowhere")
    login_host.broker.order(ALICE[0])
    async with login_host.agent():
        await login_host.until(lambda: len(login_host.said) > 3)
        move_in(login_host.hall, ALICE)
        await login_host.until(lambda: login_host.holds(ALICE) != b"")
        await login_host.pass_time(120)
        assert victim.read_text() == "root's"
        assert (victim.stat().st_uid, stat.S_IMODE(victim.stat().st_mode)) == (0, 0o600)
        assert not any(login_host.hall.glob("6410*/.credbroker-*"))
        assert login_host.file(crowd[3]).samefile(victim)


@as_root
async def test_a_foreign_file_stays_and_its_token_is_fetched_once(login_host: LoginHost) -> None:
    """Until the person removes it."""
    folder = move_in(login_host.hall, ALICE)
    (folder / "bt_u64000").write_text("from another tool")
    os.chown(folder / "bt_u64000", *ALICE)
    login_host.broker.order(ALICE[0])
    async with login_host.agent():
        await login_host.until(lambda: any("not fresh" in one for one in login_host.said))
        await login_host.ask(sessions.LIST)  # by then the engine has heard that it rests
        await login_host.pass_time(LIFE_SECONDS)
        assert login_host.holds(ALICE) == b"from another tool"
        assert login_host.tokens.given == 1
        login_host.file(ALICE).unlink()
        await login_host.until(lambda: login_host.holds(ALICE) != b"", step=1.0)


@as_root
async def test_files_stay_while_the_broker_is_away_and_are_renewed_when_it_is_back(
    login_host: LoginHost,
) -> None:
    """For hours, past the token's end: no file is ever taken away."""
    login_host.broker.order(ALICE[0])
    move_in(login_host.hall, ALICE)
    async with login_host.agent():
        await login_host.until(lambda: login_host.holds(ALICE) != b"")
        first = login_host.holds(ALICE)
        login_host.broker.away = BrokerUnreachable("The broker cannot be reached.")
        await login_host.pass_time(2 * LIFE_SECONDS)
        assert login_host.holds(ALICE) == first
        login_host.broker.away = None
        await login_host.until(lambda: login_host.holds(ALICE) != first, step=2.0)


@as_root
async def test_a_restarted_agent_fetches_nothing_that_is_fresh_and_renews_its_own(
    login_host: LoginHost,
) -> None:
    """No storm after a restart, also where the broker is away then; later its files are its own."""
    crowd = [(64100 + number, 64100 + number) for number in range(20)]
    for owner in crowd:
        login_host.broker.order(owner[0])
        move_in(login_host.hall, owner)
    async with login_host.agent():
        await login_host.until(lambda: all(login_host.holds(one) for one in crowd))
    before = {owner: login_host.holds(owner) for owner in crowd}
    leases = login_host.broker.count("POST", deliveries.DELIVERY_LEASE)
    async with login_host.agent():
        await login_host.pass_time(120)
        assert login_host.tokens.given == len(crowd)
        assert login_host.broker.count("POST", deliveries.DELIVERY_LEASE) == leases
        assert {owner: login_host.holds(owner) for owner in crowd} == before
        await login_host.until(
            lambda: all(login_host.holds(one) != before[one] for one in crowd), step=5.0
        )


@as_root
async def test_who_has_a_uid_now_gets_nothing_of_who_had_it(login_host: LoginHost) -> None:
    """The account was removed and the number given to another, while the order still stood."""
    order = login_host.broker.order(ALICE[0])
    login_host.broker.order(BOB[0])
    login_host.names[ALICE[0]] = "newcomer"
    move_in(login_host.hall, ALICE)
    move_in(login_host.hall, BOB)
    async with login_host.agent():
        await login_host.until(lambda: login_host.holds(BOB) != b"")
        await login_host.pass_time(120)
        assert login_host.holds(ALICE) == b""
        assert order.id not in login_host.broker.leases
        assert any("ordered by u64000" in one for one in login_host.said)


@as_root
async def test_an_order_made_now_is_served_now(login_host: LoginHost) -> None:
    """Whoever has consented says so, and does not wait for the next look."""
    move_in(login_host.hall, ALICE)
    async with login_host.agent():
        await login_host.pass_time(10)
        login_host.broker.order(ALICE[0])
        assert (await login_host.ask(sessions.LOOK)).problem is None
        await login_host.until(lambda: login_host.holds(ALICE) != b"")  # and no time passes
        assert (await login_host.ask(sessions.LIST)).seen == []


async def test_a_second_agent_does_not_start_beside_the_first(login_host: LoginHost) -> None:
    """They would take each other's files for foreign; a killed one leaves nothing in the way."""
    async with login_host.agent():
        with pytest.raises(LocalFileUnfit, match="already serves"):
            await login_host.serve()
        assert (await login_host.ask(sessions.LIST)).problem is None
    async with login_host.agent():
        assert (await login_host.ask(sessions.LIST)).problem is None


async def test_a_host_joins_once(login_host: LoginHost) -> None:
    """With a key that is on disk before it is shown, and a token that nobody else can read."""
    token = login_host.settings.state_folder / "join"
    token.write_text("cj_good\n")
    token.chmod(0o600)
    send = login_host.broker.send
    host = Host(send, send, login_host.clock, SystemEntropy(), lambda: None)
    login_host.broker.away = BrokerUnreachable("Away.")
    with pytest.raises(BrokerUnreachable):
        await command.join(login_host.settings, host, token)
    login_host.broker.away = None
    assert await command.join(login_host.settings, host, token) == HOST
    joined = host_key.kept(login_host.settings.state_folder)
    assert joined.host == HOST
    assert login_host.broker.keys == [host_key.public_part(joined.key)]
    with pytest.raises(NotAllowed):
        await command.join(login_host.settings, host, token)
    token.chmod(0o644)
    with pytest.raises(BadSettings, match="chmod 0600"):
        await command.join(login_host.settings, host, token)


def test_a_host_that_has_not_joined_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do; nor does one whose folder others may read."""
    # What lasts as long as the process is not for that of the tests.
    monkeypatch.setattr(command, "forbid_core_dumps", lambda: None)
    monkeypatch.setattr(os, "setgroups", lambda _: None)
    settings = tmp_path / "sessions.yaml"
    settings.write_text(f"broker: https://broker.example.org\nstate_folder: {tmp_path}/state\n")
    args = argparse.Namespace(settings=str(settings), join=None)
    with pytest.raises(LocalFileUnfit, match="has not joined"):
        command.run(args)
    (tmp_path / "state").chmod(0o755)
    with pytest.raises(LocalFileUnfit, match="nobody else"):
        command.run(args)
