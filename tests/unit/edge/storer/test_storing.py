"""What is needed is stored once and waited for; what jobs may be living on is left alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import lease_file
from credbroker.domain.errors import NotAllowed
from credbroker.edge.storer.asked import parse
from credbroker.edge.storer.place import Place
from credbroker.edge.storer.storing import Storing, entries
from credbroker.edge.storer.tools import NotStored
from tests.unit.cli.conftest import BROKER_URL

if TYPE_CHECKING:
    from credbroker.edge.storer.storing import Entry
    from tests.unit.cli.conftest import Table
    from tests.unit.edge.storer.conftest import FakeCredd

URL = f"{BROKER_URL}/v1/secret/oauth/creds/cms/alice:default"


def storing(table: Table, credd: FakeCredd, user: str = "") -> Storing:
    """Return what stores at `credd`, as each storer makes it anew."""
    place = Place.of(table.environ, "cms", "default", table.desk().entropy)
    return Storing(credd, place, table.clock, user)


def wanted(table: Table, *requests: str) -> list[Entry]:
    """Return what is to be stored for these requests, under a lease of its own each time."""
    lease = lease_file.read(table.log_in())
    return entries([parse(one) for one in requests], lease)


def test_the_service_has_the_lease_and_its_handles_have_none(
    table: Table, credd: FakeCredd
) -> None:
    """A handle's file names scopes and audience by the tool's options."""
    needed = wanted(table, "cms&handle=h&scopes=storage.read:/b,storage.read:/a&audience=x")
    assert storing(table, credd).store(needed) == ["cms", "cms_h"]
    assert credd.lease_in("cms") in table.broker.leases
    assert json.loads(credd.held["cms_h"][1]) == {"vault_url": URL}
    assert credd.held["cms_h"][0] == ("storage.read:/a,storage.read:/b", "x")
    assert credd.lease_in("cms") not in repr(needed)


def test_what_is_there_is_not_stored_again(table: Table, credd: FakeCredd) -> None:
    """Unless the credd has swept it, or it would be something else now."""
    needed = wanted(table, "cms&handle=h")
    for stored in (["cms", "cms_h"], []):
        assert storing(table, credd).store(needed) == stored
    del credd.held["cms_h"]
    assert storing(table, credd).store(needed) == ["cms_h"]
    assert storing(table, credd).store(wanted(table, "cms&handle=h")) == ["cms"]


def test_each_credd_and_each_user_is_remembered_by_itself(table: Table, credd: FakeCredd) -> None:
    """Homes are shared between access points."""
    needed = wanted(table, "cms")
    storing(table, credd).store(needed)
    credd.name = "another"
    assert storing(table, credd).store(needed) == ["cms"]
    assert storing(table, credd, "bob@x").store(needed) == ["cms"]
    assert storing(table, credd).store(needed) == []


def test_a_name_that_is_taken_is_left_alone(table: Table, credd: FakeCredd) -> None:
    """With the way out in words; nothing else is stored either."""
    credd.store("cms_h", ("storage.read:/other", ""), b"{}")
    needed = wanted(table, "cms&handle=h&scopes=storage.read:/a")
    with pytest.raises(NotAllowed) as refused:
        storing(table, credd).store(needed)
    assert "condor_store_cred delete-oauth -s cms_h" in refused.value.remedy
    assert credd.stored == ["cms_h"]


def test_what_another_storer_stored_in_another_order_is_stored_in_ours(
    table: Table, credd: FakeCredd
) -> None:
    """As after coming from the stock storer, with jobs in the queue."""
    credd.store("cms_h", ("storage.read:/b,storage.read:/a", ""), b"{}")
    needed = wanted(table, "cms&handle=h&scopes=storage.read:/b,storage.read:/a")
    assert storing(table, credd).store(needed) == ["cms", "cms_h"]
    assert credd.held["cms_h"][0][0] == "storage.read:/a,storage.read:/b"


def test_it_is_waited_until_each_name_has_its_token(table: Table, credd: FakeCredd) -> None:
    """No job is queued that would start on hold."""
    credd.credmon_seconds, begun = 7.0, table.clock.elapsed()
    needed = wanted(table, "cms&handle=h")
    storing(table, credd).store(needed)
    assert 7 <= table.clock.elapsed() - begun < 8.5


def test_what_is_in_place_costs_one_question_for_each_name(table: Table, credd: FakeCredd) -> None:
    """Each is a program that HTCondor starts."""
    needed = wanted(table, "cms&handle=h")
    storing(table, credd).store(needed)
    asked = credd.queries
    assert storing(table, credd).store(needed) == []
    assert credd.queries == asked + 2


def test_a_credmon_that_does_not_run_is_told_after_fifteen_seconds(
    table: Table, credd: FakeCredd
) -> None:
    """Not later, and with who can mend it."""
    credd.credmon_seconds, begun = None, table.clock.elapsed()
    needed = wanted(table, "cms")
    with pytest.raises(NotStored, match=r"cms is stored at ap\.example\.org, but no token") as told:
        storing(table, credd).store(needed)
    assert "credmon" in told.value.remedy
    assert 15 <= table.clock.elapsed() - begun < 16.5
