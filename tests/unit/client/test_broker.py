"""The broker's API as methods: what is sent, what is believed, and what is refused."""

from __future__ import annotations

import datetime

import pytest

from credbroker.client.broker import Broker
from credbroker.client.http11 import Answer, Request
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    IssuerMisbehaved,
    LeaseEnded,
    LoginDenied,
    LoginNeeded,
)
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.native import AskLease, AskToken, StartLogin
from tests.fakes.broker import FakeBroker, access_token, lease_token
from tests.fakes.step_clock import StepClock


@pytest.fixture
def clock() -> StepClock:
    """A clock that moves when told."""
    return StepClock()


@pytest.fixture
def fake(clock: StepClock) -> FakeBroker:
    """A broker as one function."""
    return FakeBroker(clock)


@pytest.fixture
def broker(fake: FakeBroker, clock: StepClock) -> Broker:
    """The fake broker, asked under a lease that is good."""
    return Broker(fake, clock, SystemEntropy(), fake.new_lease())


def test_a_login_goes_from_start_to_lease(fake: FakeBroker, clock: StepClock) -> None:
    """The token that polled is the lease once the login is done, and polls again to the same end."""
    broker = Broker(fake, clock, SystemEntropy())
    assert [one.name for one in broker.issuers().issuers] == ["cms"]
    fake.approved = False
    started = broker.start_login(StartLogin("cms"))
    polling = broker.under(started.login_token)
    assert not polling.poll_login().done
    fake.approved = True
    assert polling.poll_login() == polling.poll_login()
    assert polling.lease_status().credkey == "alice"


def test_a_denied_login_is_said_as_such(fake: FakeBroker, clock: StepClock) -> None:
    """The broker's problem comes out as the error it was."""
    broker = Broker(fake, clock, SystemEntropy())
    started = broker.start_login(StartLogin("cms"))
    fake.denied = True
    with pytest.raises(LoginDenied) as denied:
        broker.under(started.login_token).poll_login()
    assert denied.value.request_id == "req-1"


def test_the_lease_travels_in_the_header_only(broker: Broker, fake: FakeBroker) -> None:
    """Each request names itself; path and body are free of the lease token."""
    broker.lease_status()
    broker.ask_token(AskToken())
    token = lease_token(1).reveal()
    for request in fake.requests:
        assert request.headers["Authorization"] == f"Bearer {token}"
        assert token not in request.target + request.body.decode()
    assert len({request.headers["X-Request-Id"] for request in fake.requests}) == 2


def test_a_token_is_inspected_in_the_body_of_a_request(
    broker: Broker, fake: FakeBroker, clock: StepClock
) -> None:
    """Whose answer is the broker's."""
    value = access_token(clock.now())
    assert broker.inspect(value).verified
    assert value.reveal() not in fake.requests[-1].target + repr(fake.requests[-1].headers)
    fake.verifies = False
    assert not broker.inspect(value).verified


def test_a_job_lease_is_made_and_ended(broker: Broker, fake: FakeBroker) -> None:
    """The new lease works until it is ended."""
    given = broker.ask_lease(AskLease("run42", ["storage.read:/"], ["https://dav"], 60))
    job = broker.under(given.lease_token)
    assert job.lease_status().job == "run42"
    job.end_lease()
    with pytest.raises(LeaseEnded):
        job.ask_token(AskToken())


def test_logging_out_says_until_when_tokens_last(broker: Broker, clock: StepClock) -> None:
    """The answer carries the last end of any token given out."""
    assert broker.log_out().valid_until == clock.now() + datetime.timedelta(seconds=1800)


def test_a_token_that_serves_is_given_with_its_claims(broker: Broker) -> None:
    """Scopes and audiences asked for are in the token."""
    fetched = broker.ask_token(AskToken(["storage.read:/a"], ["https://dav"]))
    assert fetched.token.scopes.texts() == ["storage.read:/a"]
    assert fetched.token.audiences == ("https://dav",)
    assert fetched.token.value == fetched.given.access_token


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other"},
        {"scope": "storage.read:/b"},
        {"scope": None},
        {"scope": "storage.read:/a storage.modify:/"},
        {"scope": "storage.read:/"},
        {"aud": ["https://dav", "https://other"]},
        {"aud": "https://wlcg.cern.ch/jwt/v1/any"},
        {"wlcg.groups": ["/cms/admin"]},
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"wlcg.ver": None},
        {"jti": "another"},
        {"iss": "https://other.example.org/"},
        {"exp": "soon"},
    ],
)
def test_a_token_that_does_not_serve_is_never_given_out(
    broker: Broker, fake: FakeBroker, claims: dict[str, object]
) -> None:
    """Wrong or wider audience or scope, times, identity, form: refused, whatever the broker says."""
    fake.claims = claims
    with pytest.raises(IssuerMisbehaved) as refused:
        broker.ask_token(AskToken(["storage.read:/a"], ["https://dav"]))
    assert fake.given[0].access_token.reveal() not in str(refused.value)


@pytest.mark.parametrize("days", [-2, 2])
def test_a_wrong_local_clock_does_not_cost_the_token(
    fake: FakeBroker, clock: StepClock, days: int
) -> None:
    """Times are judged by the broker's clock, which its answer carries."""
    local = StepClock(clock.now() + datetime.timedelta(days=days))
    broker = Broker(fake, local, SystemEntropy(), fake.new_lease())
    fetched = broker.ask_token(AskToken())
    assert fetched.token.seconds_left(broker.now()) == 3600
    assert broker.now() == clock.now()


@pytest.mark.parametrize(
    "date",
    ["yesterday", "Mon, 31 Feb 2026 12:00:00 GMT", "Mon, 02 Feb 2026 12:00:61 GMT",
     "Monday, 02-Feb-26 12:00:00 GMT", "Mon, 02 Feb 2026 12:00:00 +0100"],
)  # fmt: skip
def test_an_answer_without_a_date_leaves_the_local_clock(clock: StepClock, date: str) -> None:
    """No date, or a strange one, is no reason to fail."""
    answer = Answer(200, {"date": date}, b'{"issuers":[]}')
    broker = Broker(lambda _: answer, clock, SystemEntropy())
    broker.issuers()
    assert broker.now() == clock.now()


def test_a_problem_keeps_its_kind_and_remedy(broker: Broker, fake: FakeBroker) -> None:
    """Sentence, remedy and request id come over."""
    fake.problems.append(LoginNeeded("The issuer ended it.", "Do this."))
    with pytest.raises(LoginNeeded, match="The issuer ended it") as lost:
        broker.ask_token(AskToken())
    assert (lost.value.remedy, lost.value.request_id) == ("Do this.", "req-1")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(307, {"location": "https://evil.example.org/"}, b""),
        Answer(502, {}, b"<html>Bad Gateway: secret</html>"),
        Answer(200, {}, b"<html>Welcome to the hotel, secret</html>"),
        Answer(200, {}, b'{"issuers": "secret"}'),
    ],
)
def test_what_is_not_the_broker_counts_as_unreachable(clock: StepClock, answer: Answer) -> None:
    """Redirects, proxies and strangers are not followed, believed or quoted."""
    seen: list[Request] = []

    def send(request: Request) -> Answer:
        seen.append(request)
        return answer

    with pytest.raises(BrokerUnreachable) as unreachable:
        Broker(send, clock, SystemEntropy()).issuers()
    assert "secret" not in str(unreachable.value)
    assert len(seen) == 1


def test_every_error_is_of_the_family_a_caller_catches(broker: Broker, fake: FakeBroker) -> None:
    """One base class is enough for a caller."""
    fake.problems.append(LeaseEnded("Over."))
    with pytest.raises(CredbrokerError):
        broker.log_out()
