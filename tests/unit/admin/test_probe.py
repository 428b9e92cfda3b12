"""An operator's probe logs in, measures, records, keeps what is left, and says what it means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.admin.probe import MEANINGS, Wished, probe
from credbroker.demo.issuer.settings import RefreshPolicy
from credbroker.domain.device import LoginOver, StillPending
from credbroker.domain.errors import (
    IssuerMisbehaved,
    IssuerUnreachable,
    LoginDenied,
    LoginExpired,
    NotAllowed,
    NotFound,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Renewed
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.secret import Secret
from tests.unit.admin.rooms import ISSUER, Rooms
from tests.unit.things import grant

KEY = GrantKey(ISSUER, PROBE_CREDKEY, "default")
OPERATOR = {"sub": "sub-operator"}


def confirms(rooms: Rooms, times: int = 1) -> None:
    """Let the operator confirm at the second poll of each login."""
    for _ in range(times):
        rooms.issuer.poll_next(StillPending(), rooms.issuer.confirmed(OPERATOR))


def kept(rooms: Rooms) -> Grant:
    """Return what is in custody of the throw-away login."""
    return rooms.grants.newest(KEY.segment())


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (RefreshPolicy.REUSE, UnclearRule.RETRY_SAFE),
        (RefreshPolicy.ROTATE, UnclearRule.ONCE_MORE),
        (RefreshPolicy.GRACE, UnclearRule.GRACE),
        (RefreshPolicy.ROTATE_REVOKE_FAMILY, UnclearRule.ASK),
    ],
)
async def test_the_rule_is_recorded_and_explained(
    rooms: Rooms, policy: RefreshPolicy, kind: UnclearRule
) -> None:
    """For all replicas to go by."""
    rooms.issuer.policy = policy
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert rooms.mark.rule is not None
    assert rooms.mark.rule.kind is kind
    assert rooms.mark.rotates is (policy is not RefreshPolicy.REUSE)
    assert f"Recorded for cms: {kind.value}" in rooms.answered()
    assert MEANINGS[kind] in rooms.answered()
    assert rooms.audit.last("issuer_probed")["rule"] == kind.value


async def test_address_and_code_are_shown(rooms: Rooms) -> None:
    """To a person, not to a script; with nothing secret."""
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert "https://issuer.test/device?2" in rooms.said()
    assert "CODE-2" in rooms.said()
    assert "refresh-" not in rooms.said() + rooms.answered()
    assert "device-2" not in rooms.said() + rooms.answered()


async def test_what_is_left_is_kept_for_trials(rooms: Rooms) -> None:
    """Under a credkey that is nobody's, as it is now, and good for a refresh."""
    rooms.issuer.policy = RefreshPolicy.ROTATE
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER, "pilot.2")))
    one = rooms.grants.newest(GrantKey(ISSUER, PROBE_CREDKEY, "pilot.2").segment())
    assert (one.state, one.subject, one.rotated) == (GrantState.READY, "sub-operator", True)
    assert one.refresh_token is not None
    assert one.refresh_token.reveal() not in rooms.issuer.posts
    assert one.client_id == rooms.issuer.client_id


async def test_an_earlier_throw_away_login_is_replaced_and_revoked(rooms: Rooms) -> None:
    """Whosever it was; its generation is gone beyond, so that nobody takes it for a restore."""
    rooms.issuer.policy = RefreshPolicy.REUSE
    old = grant(
        key=KEY, subject="sub-other", generation=7, refresh_token=Secret("refresh token", "old")
    )
    await rooms.give(old)
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert (kept(rooms).generation, kept(rooms).subject) == (8, "sub-operator")
    assert rooms.issuer.revoked == ["old"]


async def test_an_account_whose_work_depends_on_a_login_here_is_not_measured_with(
    rooms: Rooms,
) -> None:
    """Its other login might be revoked with this one; what is over, or elsewhere, is no obstacle."""
    subject = OPERATOR["sub"]
    work = grant(key=GrantKey(ISSUER, "ada", "default"), subject=subject)
    await rooms.give(work)
    confirms(rooms)
    with pytest.raises(NotAllowed, match="has another login here"):
        await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert not rooms.issuer.posts
    assert len(rooms.issuer.revoked) == 1
    assert rooms.marks.history == []
    stored = await rooms.grants.get(work.key.segment())
    assert stored is not None
    await rooms.grants.put(work.key.segment(), replace(work, state=GrantState.LOST), stored.version)
    await rooms.give(grant(key=GrantKey("egi", "ada", "default"), subject=subject))
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert rooms.mark.rule is not None


async def test_an_earlier_one_from_another_address_is_not_shown_to_the_issuer(
    rooms: Rooms,
) -> None:
    """It belongs to whoever gave it."""
    rooms.issuer.policy = RefreshPolicy.REUSE
    await rooms.give(grant(key=KEY, issuer_url="https://old.test/"))
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert rooms.issuer.revoked == []


async def test_where_revoking_ends_other_logins_the_earlier_one_is_left_alone(
    rooms: Rooms,
) -> None:
    """As with any login there."""
    rooms.issuer.revoke_replaced = False
    rooms.issuer.policy = RefreshPolicy.REUSE
    await rooms.give(grant(key=KEY))
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert rooms.issuer.revoked == []


async def test_a_login_that_died_of_it_is_not_kept_and_a_second_one_is_offered(
    rooms: Rooms,
) -> None:
    """Nothing is stored that is known to be dead."""
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert await rooms.grants.segments() == []
    assert "--keep" in rooms.answered()


async def test_a_second_login_is_made_and_kept_if_asked_for(rooms: Rooms) -> None:
    """It is used for nothing before it is needed."""
    confirms(rooms, times=2)
    await rooms.done(probe(rooms.office, Wished(ISSUER, keep=True)))
    token = kept(rooms).refresh_token
    assert token is not None
    assert rooms.issuer.posts[token.reveal()] == 0
    assert "The second login is kept" in rooms.answered()


async def test_a_second_login_is_not_asked_for_while_the_first_lives(rooms: Rooms) -> None:
    """One is enough."""
    rooms.issuer.policy = RefreshPolicy.REUSE
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER, keep=True)))
    assert rooms.said().count("CODE-") == 1


async def test_a_setting_that_outranks_the_measurement_is_named(rooms: Rooms) -> None:
    """And the meaning told is the setting's."""
    rooms.issuer.policy = RefreshPolicy.ROTATE
    rooms.issuer.rule = Rule(UnclearRule.ASK)
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert "The settings say ask, and they outrank" in rooms.answered()
    assert MEANINGS[UnclearRule.ASK] in rooms.answered()
    assert MEANINGS[UnclearRule.ONCE_MORE] not in rooms.answered()


async def test_trust_that_was_broken_once_is_not_measured_back(rooms: Rooms) -> None:
    """An issuer that was seen to rotate may do so again."""
    rooms.issuer.policy = RefreshPolicy.REUSE
    await rooms.mark_as(rotates=True)
    confirms(rooms)
    await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert "was seen to rotate" in rooms.answered()
    assert MEANINGS[UnclearRule.ASK] in rooms.answered()


async def test_a_poll_without_an_answer_only_lengthens_the_wait(rooms: Rooms) -> None:
    """And `slow_down` lengthens the interval."""
    rooms.issuer.policy = RefreshPolicy.REUSE
    rooms.issuer.poll_next(
        IssuerUnreachable("The issuer does not answer."), StillPending(slower=True)
    )
    confirms(rooms)
    began = rooms.clock.elapsed()
    task = rooms.office.means.deeds.begin(probe(rooms.office, Wished(ISSUER)), "probe")
    await rooms.clock.pass_time(29.0)
    assert not rooms.said().count("Logged in")
    await rooms.clock.pass_time(1.0)
    assert rooms.said().count("Logged in")
    assert rooms.clock.elapsed() - began == 5 + 5 + 10 + 10
    await task


async def test_a_login_that_is_refused_measures_nothing(rooms: Rooms) -> None:
    """The issuer's reason passes through."""
    rooms.issuer.poll_next(LoginOver(LoginDenied("The person said no.")))
    with pytest.raises(LoginDenied):
        await rooms.done(probe(rooms.office, Wished(ISSUER)))
    assert rooms.marks.history == []


async def test_nobody_waits_for_a_login_for_ever(rooms: Rooms) -> None:
    """Once the code is over, so is the wait."""
    with pytest.raises(LoginExpired):
        await rooms.done(probe(rooms.office, Wished(ISSUER)))


@pytest.mark.parametrize("missing", ["refresh_token", "id_token"])
async def test_a_login_without_what_it_was_for_is_said_to_be_so(rooms: Rooms, missing: str) -> None:
    """Instead of being waited for."""
    answer = rooms.issuer.confirmed(OPERATOR)
    fields = {name: getattr(answer, name) for name in ("access_token", "refresh_token", "id_token")}
    rooms.issuer.poll_next(Renewed(**{**fields, missing: None}))
    with pytest.raises(IssuerMisbehaved, match="no refresh token or no ID token"):
        await rooms.done(probe(rooms.office, Wished(ISSUER)))


@pytest.mark.parametrize(
    ("wished", "sentence"),
    [
        (Wished("atlas"), "The settings name no issuer 'atlas'"),
        (Wished(ISSUER, "wizard"), "The issuer 'cms' has no role 'wizard'"),
    ],
)
async def test_an_unknown_name_is_refused_before_a_login_is_begun(
    rooms: Rooms, wished: Wished, sentence: str
) -> None:
    """With the names there are."""
    with pytest.raises(NotFound, match=sentence):
        await probe(rooms.office, wished)
    assert rooms.said() == ""
