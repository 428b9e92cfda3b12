"""A service is recognised by what it shows; whoever guesses is slowed down."""

from __future__ import annotations

import base64
from ipaddress import ip_network
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp.test_utils import make_mocked_request

from credbroker.api.client_callers import ClientCallers
from credbroker.api.problems import CLIENT_ID, REQUEST_ID
from credbroker.api.strangers import Strangers
from credbroker.broker.issuing.remembering import Remembering
from credbroker.domain.errors import TooManyRequests, UnknownClient
from credbroker.domain.limits import Allowance
from credbroker.wire.oauth import Form
from tests.fakes.clock import FakeClock
from tests.fakes.granting import CLIENT, SECRET, FakeClients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from credbroker.broker.issuing.clients import Clients
    from credbroker.broker.issuing.granting import ClientCaller
    from credbroker.domain.clients import Client

BURST = 3


class Counted(FakeClients):
    """Counts how often somebody was looked up."""

    def __init__(self) -> None:
        self.looked_up = 0

    def identify(self, client_id: str, secrets: Sequence[str]) -> Client:
        """Count."""
        self.looked_up += 1
        return super().identify(client_id, secrets)


@pytest.fixture
def clients() -> Counted:
    """Who is known."""
    return Counted()


@pytest.fixture
def callers(clients: Counted) -> ClientCallers:
    """What is under test."""
    clock = FakeClock()
    strangers = Strangers(Allowance(1.0, BURST), clock)
    return ClientCallers("dteam", cast("Clients", clients), strangers, clock)


def request(name: str = CLIENT, secret: str = SECRET) -> web.Request:
    """Return a request that shows this in its header."""
    shown = base64.b64encode(f"{name}:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {shown}"}
    made = make_mocked_request("POST", "/", headers=headers).clone(remote="127.0.0.1")
    made[REQUEST_ID] = "request-1"
    return made


def identify(callers: ClientCallers, made: web.Request, form: bytes = b"") -> ClientCaller:
    """Return who asks."""
    return callers.identify(made, Form.read(form))


def test_a_client_is_known_and_written_down_as_itself(callers: ClientCallers) -> None:
    """With the time until which it must be answered."""
    made = request()
    caller = identify(callers, made)
    assert (caller.client.id, made[CLIENT_ID]) == (CLIENT, CLIENT)
    assert caller.answer_by == FakeClock().elapsed() + 2.5
    assert caller.origin.request_id == "request-1"


def test_what_a_client_showed_once_is_not_looked_up_again(
    callers: ClientCallers, clients: Counted
) -> None:
    """The very same: another secret is."""
    for _ in range(3):
        identify(callers, request())
    assert clients.looked_up == 1
    with pytest.raises(UnknownClient):
        identify(callers, request(secret="another"))
    assert clients.looked_up == 2


def test_who_guesses_is_slowed_down_and_the_client_is_not(callers: ClientCallers) -> None:
    """Though they come from the same address, and the client for the first time in another way."""
    identify(callers, request())
    for number in range(BURST):
        with pytest.raises(UnknownClient):
            identify(callers, request(secret=f"guess {number}"))
    with pytest.raises(TooManyRequests):
        identify(callers, request(secret="one more"))
    assert identify(callers, request()).client.id == CLIENT


def test_a_good_secret_counts_whatever_others_at_its_address_have_shown(
    callers: ClientCallers,
) -> None:
    """Also for the first time: one address may be a whole site's, and FTS forgives no 429."""
    strangers = callers._strangers
    others = ClientCallers("ops", cast("Clients", Counted()), strangers, FakeClock())
    for number in range(3 * BURST):
        with pytest.raises((UnknownClient, TooManyRequests)):
            identify(others, request(secret=f"guess {number}"))
        with pytest.raises((UnknownClient, TooManyRequests)):
            identify(callers, request(name=f"nobody-{number}"))
        with pytest.raises((UnknownClient, TooManyRequests)):
            identify(callers, make())
    assert identify(callers, request()).client.id == CLIENT


def test_a_guess_that_is_one_too_many_is_not_even_looked_at(
    callers: ClientCallers, clients: Counted
) -> None:
    """Else a guesser would learn which one was good, if only by what differs."""
    for number in range(BURST):
        with pytest.raises(UnknownClient):
            identify(callers, request(secret=f"guess {number}"))
    with pytest.raises(TooManyRequests):
        identify(callers, request())
    assert clients.looked_up == BURST


def test_the_same_bad_secret_again_is_no_further_guess(callers: ClientCallers) -> None:
    """A service with its old secret, that asks for ever, does not keep the one with the new out."""
    for _ in range(3 * BURST):
        with pytest.raises((UnknownClient, TooManyRequests)):
            identify(callers, request(secret="the old one"))
    assert identify(callers, request()).client.id == CLIENT


def test_nobody_guesses_at_will_from_an_address_that_many_share(clients: Counted) -> None:
    """Those are not counted where leases are shown, which nobody can guess."""
    clock = FakeClock()
    strangers = Strangers(Allowance(1.0, BURST), clock, [ip_network("127.0.0.0/8")])
    callers = ClientCallers("dteam", cast("Clients", clients), strangers, clock)
    for number in range(BURST):
        with pytest.raises(UnknownClient):
            identify(callers, request(secret=f"guess {number}"))
    with pytest.raises(TooManyRequests):
        identify(callers, request(secret="one more"))


def test_halves_of_what_is_shown_do_not_pass_for_another_whole(callers: ClientCallers) -> None:
    """An id that runs over into the secret is another id."""
    form = f"client_id={CLIENT}&client_secret=".encode()
    with pytest.raises(UnknownClient):
        identify(callers, make(), form)
    identify(callers, make(), form + SECRET.replace("%", "%25").replace("+", "%2B").encode())
    moved = f"client_id={CLIENT}a&client_secret={SECRET[1:]}".replace("%", "%25")
    with pytest.raises(UnknownClient):
        identify(callers, make(), moved.replace("+", "%2B").encode())


def make() -> web.Request:
    """Return a request without a header."""
    made = make_mocked_request("POST", "/")
    made[REQUEST_ID] = "request-1"
    return made


def test_an_encoded_id_is_found_as_it_reads(callers: ClientCallers) -> None:
    """RFC 6749 section 2.3.1 has clients encode it."""
    assert identify(callers, request(name="%72ucio")).client.id == CLIENT


def test_what_is_remembered_is_bounded(callers: ClientCallers) -> None:
    """A client that shows itself in ever new ways fills no memory."""
    callers._seen = Remembering(2)
    for number in range(5):
        identify(callers, make_with_more_spaces(number))
    assert len(callers._seen._kept) <= 2


def make_with_more_spaces(number: int) -> web.Request:
    """Return what reads the same and is not."""
    shown = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    made = make_mocked_request(
        "POST", "/", headers={"Authorization": f"Basic {' ' * number}{shown}"}
    )
    made[REQUEST_ID] = "request-1"
    return made
