"""A lease of one's own is had on HTVault's path, and nothing else passes for one."""

from __future__ import annotations

import datetime
import json

import pytest

from credbroker.client.http11 import Answer, Request
from credbroker.client.htvault import shorten
from credbroker.domain.errors import BrokerUnreachable, LeaseEnded, TooManyRequests
from tests.fakes.broker import FakeBroker, lease_token
from tests.fakes.step_clock import StepClock


def test_a_lease_that_lasts_less_long_is_made() -> None:
    """It is another one than the login's, and lasts as was asked."""
    broker = FakeBroker(StepClock())
    login = broker.new_lease()
    made, lasts = shorten(broker, login, "r1", 3600)
    assert (made.reveal() in broker.leases, lasts) == (True, datetime.timedelta(hours=1))
    assert made != login
    assert shorten(broker, login, "r2")[1] == datetime.timedelta(days=1)


def test_a_login_that_is_over_makes_none() -> None:
    """In the kind of error that a new login mends."""
    with pytest.raises(LeaseEnded):
        shorten(FakeBroker(StepClock()), lease_token(1), "r1", 3600)


@pytest.mark.parametrize("status", [200, 429, 500])
def test_no_other_answer_is_taken_for_a_lease(status: int) -> None:
    """Its text is not repeated."""
    body = json.dumps({"auth": {"client_token": "hvs.secret", "lease_duration": 5}}).encode()

    def send(_: Request) -> Answer:
        return Answer(status, {}, body)

    kind = TooManyRequests if status == 429 else BrokerUnreachable
    with pytest.raises(kind) as failed:
        shorten(send, lease_token(1), "r1", 5)
    assert "hvs.secret" not in str(failed.value)
