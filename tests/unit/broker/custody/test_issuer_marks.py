"""What is known about an issuer is known to all replicas, and never believed too early."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import cast

import pytest
from structlog.typing import EventDict

from credbroker.broker.custody.issuer_marks import BRIDGED_SPARE, IssuerMarks
from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.running import Deeds, Means
from credbroker.domain.errors import RecordDamaged, StoreUnavailable, StoreUnclear
from credbroker.domain.marks import IssuerMark
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.ports import Issuer
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.store import MemoryRecords
from tests.unit.things import grant

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
ONCE_MORE = Rule(UnclearRule.ONCE_MORE)
RETRY_SAFE = Rule(UnclearRule.RETRY_SAFE)
ASK = Rule()


class Configured:
    """An issuer of which only the operator's rule matters."""

    def __init__(self, rule: Rule | None = None) -> None:
        """Have this rule set, or none."""
        self.rule = rule


class Marked:
    """One store of marks, and replicas that read it."""

    def __init__(self, **rules: Rule | None) -> None:
        """Serve these issuers, with what the operator has set for each."""
        self.clock = FakeClock()
        self.records = MemoryRecords[IssuerMark](self.clock)
        self._issuers = {name: Configured(rule) for name, rule in rules.items()}

    def replica(self, name: str = "a") -> IssuerMarks:
        """Start a replica that has read nothing yet."""
        means = Means(FakeAudit(), self.clock, FakeEntropy(), Deeds(self.clock))
        issuers = cast("Mapping[str, Issuer]", self._issuers)
        return IssuerMarks(self.records, issuers, means, replica=name)

    async def read(self, name: str = "a") -> IssuerMarks:
        """Start a replica that has read all marks."""
        marks = self.replica(name)
        await marks.read()
        return marks

    def stored(self, issuer: str) -> IssuerMark:
        """Return the mark as it is stored now."""
        return self.records.newest(name_segment(issuer))


async def test_until_marks_were_read_a_replay_counts_as_harmful() -> None:
    """Whatever the operator has set: it may be over for good."""
    marked = Marked(egi=RETRY_SAFE)
    marks = marked.replica()
    assert marks.rule("egi") == ASK
    await marks.read()
    assert marks.rule("egi") == RETRY_SAFE


async def test_a_rule_that_a_probe_found_is_known_to_all() -> None:
    """But the operator's own outranks it, and an unknown issuer has none."""
    marked = Marked(egi=None, cms=ASK)
    a, b = await marked.read("a"), await marked.read("b")
    await a.record("egi", ONCE_MORE)
    await a.record("cms", ONCE_MORE)
    await b.read()
    assert (a.rule("egi"), b.rule("egi")) == (ONCE_MORE, ONCE_MORE)
    assert (b.rule("cms"), b.rule("nobody")) == (ASK, ASK)
    assert marked.stored("egi").recorded_at == marked.clock.now()


async def test_one_changed_value_ends_retry_safe_for_good() -> None:
    """Here at once, and for every other replica with its next reading."""
    marked = Marked(egi=RETRY_SAFE)
    a, b = await marked.read("a"), await marked.read("b")
    await a.note_rotation("egi")
    await b.read()
    assert (a.rule("egi"), b.rule("egi")) == (ASK, ASK)
    assert (await marked.read("c")).rule("egi") == ASK


async def test_a_note_that_vault_did_not_take_holds_here_and_is_written_later() -> None:
    """It is owed until it is stored."""
    marked = Marked(egi=RETRY_SAFE)
    marks = await marked.read()
    marked.records.fail_next(AWAY, on="put")
    await marks.note_rotation("egi")
    assert marks.rule("egi") == ASK
    await marks.read()
    assert marked.stored("egi").rotates
    writes = len(marked.records.history)
    await marks.read()
    assert len(marked.records.history) == writes


@pytest.mark.parametrize("error", [StoreUnclear("No answer."), AWAY])
async def test_what_is_owed_is_not_undone_by_reading(error: StoreUnavailable) -> None:
    """Vault's older word comes back while ours is still on its way."""
    marked = Marked(egi=RETRY_SAFE)
    marks = await marked.read()
    for _ in range(8):
        marked.records.fail_next(error, on="put")
    await marks.note_rotation("egi")
    with pytest.raises(StoreUnavailable):
        await marks.read()
    assert marks.rule("egi") == ASK


async def test_a_write_keeps_what_others_wrote_beside_it() -> None:
    """Each replica changes its own field only, on what is there now."""
    marked = Marked(egi=None)
    a, b = await marked.read("a"), await marked.read("b")
    await a.record("egi", ONCE_MORE)
    await b.brake("egi")
    await a.note_rotation("egi")
    mark = marked.stored("egi")
    assert (mark.rule, mark.rotates, mark.braked_by) == (ONCE_MORE, True, "b")


async def test_the_brake_holds_for_all_until_an_operator_releases_it() -> None:
    """Who braked first is on record."""
    marked = Marked(egi=None, cms=None)
    a, b = await marked.read("a"), await marked.read("b")
    await a.brake("egi")
    await b.brake("egi")
    assert (a.braked("egi"), b.braked("egi"), b.braked("cms")) == (True, True, False)
    assert marked.stored("egi").braked_by == "a"
    await b.release("egi")
    await a.read()
    assert (a.braked("egi"), b.braked("egi")) == (False, False)


async def test_a_brake_that_was_released_is_not_put_on_again_by_what_was_owed() -> None:
    """The operator's word is the later one; a note about rotation stays owed."""
    marked = Marked(egi=RETRY_SAFE)
    marks = await marked.read()
    for _ in range(2):
        marked.records.fail_next(AWAY, on="get")
    await marks.brake("egi")
    await marks.note_rotation("egi")
    assert marks.braked("egi")
    await marks.release("egi")
    await marks.read()
    assert not marks.braked("egi")
    assert marked.stored("egi").rotates


async def test_a_brake_that_is_not_known_to_be_off_counts_as_on() -> None:
    """Until the first reading, and at that one issuer while its mark is damaged."""
    marked = Marked(egi=None, cms=None)
    marks = marked.replica()
    assert (marks.braked("egi"), marks.braked("cms")) == (True, True)
    marked.records.fail_next(RecordDamaged("A record is damaged."), on="get")
    await marks.read()
    assert (marks.braked("egi"), marks.braked("cms")) == (True, False)
    await marks.read()
    assert not marks.braked("egi")


async def test_a_release_that_vault_did_not_take_is_told() -> None:
    """An operator must know."""
    marked = Marked(egi=None)
    marks = await marked.read()
    await marks.brake("egi")
    marked.records.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await marks.release("egi")
    assert marks.braked("egi")


async def test_a_damaged_mark_keeps_no_other_from_being_read(logged: list[EventDict]) -> None:
    """Of that issuer nothing is known."""
    marked = Marked(egi=ONCE_MORE, cms=ONCE_MORE)
    marked.records.fail_next(RecordDamaged("A record is damaged."), on="get")
    marks = await marked.read()
    assert (marks.rule("egi"), marks.rule("cms")) == (ASK, ONCE_MORE)
    assert [line["event"] for line in logged] == ["issuer_mark_damaged"]


async def test_only_a_recorded_issuer_that_never_rotated_may_not_rotate() -> None:
    """For this grant, or for any other."""
    marked = Marked(egi=RETRY_SAFE)
    marks = await marked.read()
    assert not marks.may_rotate(grant())
    assert marks.may_rotate(grant(rotated=True))
    await marks.note_rotation("egi")
    assert marks.may_rotate(grant())


async def test_a_bridge_is_on_record_for_all_replicas_and_is_never_shortened() -> None:
    """Most of its tokens cost no write: the record says somewhat more."""
    marked = Marked(cms=None)
    one, two = marked.replica("a"), marked.replica("b")
    hour = marked.clock.now() + datetime.timedelta(hours=1)
    assert await two.bridged_until("cms") is None
    for minutes in (0, 5, 10):
        await one.note_bridged("cms", hour + datetime.timedelta(minutes=minutes))
    assert len(marked.records.history) == 1
    found = await two.bridged_until("cms")
    assert found is not None
    assert hour + datetime.timedelta(minutes=10) <= found <= hour + 2 * BRIDGED_SPARE
    await two.note_bridged("cms", hour)
    assert await one.bridged_until("cms") == found


async def test_a_bridge_that_cannot_be_recorded_is_refused() -> None:
    """It is stored before anything is signed."""
    marked = Marked(cms=None)
    one = marked.replica()
    marked.records.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await one.note_bridged("cms", marked.clock.now())
