"""What a name wants, where the source's tests do not say it already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credbroker.edge.condor.names import Claims
from credbroker.edge.condor.settings import LocalTokens, Settings
from credbroker.edge.condor.vault_url import TrustedHost
from credbroker.edge.condor.wanted import Reader, Standing, Wanted
from credbroker.edge.orders import Form
from tests.fakes.broker import lease_token
from tests.unit.edge.condor.scene import REQUEST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.edge.condor.scene import Scene


def wanted(reader: Reader, user: str, name: str) -> Wanted:
    """Return what one name wants."""
    return reader.wanted(user, name, reader.folder.files(user))


def test_a_host_that_is_no_longer_trusted_is_not_asked(scene: Scene) -> None:
    """The list may have become shorter since the credd took the file; the file stays."""
    scene.credd.store("alice", "cms", REQUEST)
    for host, is_trusted in (("vault.example.org", True), ("other.example.org", False)):
        trusted = (TrustedHost.read(host),)
        reader = Reader(scene.folder, Settings(scene.credd.folder, trusted_hosts=trusted))
        found = wanted(reader, "alice", "cms")
        assert (found.order is not None) is is_trusted
        assert (found.problem is None) is is_trusted


def test_a_local_name_is_asked_for_under_the_standing_lease(scene: Scene) -> None:
    """Its `.top` is a mark; the user's name stands in the scopes and says whom it is about."""
    scene.credd.store("alice", "ap", b"alice@example.org")
    tokens = LocalTokens(file(scene), "storage.read:/home/{username}", ("https://a",))
    claims = Claims(local=frozenset({"ap"}))
    settings = Settings(scene.credd.folder, claims=claims, local=tokens)
    standing = Standing("https://b.example.org:8200", lease_token(1), tokens)
    order = wanted(Reader(scene.folder, settings, standing), "alice", "ap").order
    assert order is not None
    assert order.server == "local+https://b.example.org:8200"
    assert order.secret == lease_token(1)
    assert order.scopes == ("storage.read:/home/alice",)
    assert order.about == "alice"
    assert order.place.form is Form.JSON
    missing = wanted(Reader(scene.folder, settings), "alice", "ap")
    assert "standing lease" in str(missing.problem)


def test_the_age_of_a_request_is_that_of_its_newest_file(scene: Scene) -> None:
    """By the machine's clock."""
    scene.credd.store("alice", "cms", REQUEST)
    reader = Reader(scene.folder, scene.settings)
    found = wanted(reader, "alice", "cms")
    assert 0 <= found.age_seconds(scene.clock.now()) + 1 < 60
    scene.pass_time(100)
    assert found.age_seconds(scene.clock.now()) >= 99


def file(scene: Scene) -> Path:
    """Return where a lease file would be."""
    return scene.credd.folder.parent / "lease.json"
