"""The folder as a source of orders: what appears, changes, vanishes, breaks and ends."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    GrantInDoubt,
    GrantPaused,
    LeaseEnded,
    LeaseUnknown,
    LoginNeeded,
    NotAllowed,
)
from credbroker.edge.condor.names import Claims
from tests.unit.edge.condor.scene import REQUEST, URL

if TYPE_CHECKING:
    from tests.unit.edge.condor.scene import Scene


def test_a_stored_request_becomes_an_order(scene: Scene) -> None:
    """Everything the engine needs is in it: server, path, secret, narrowing, place and pace."""
    scene.credd.store("alice", "cms", REQUEST, scopes="storage.read:/a,storage.create:/b")
    (order,) = scene.look().values()
    assert order.id == "alice/cms"
    assert order.server == "vault+https://vault.example.org:8200 cms"
    assert order.path_on_server == "/v1/secret/oauth/creds/cms/alice:default"
    assert order.scopes == ("storage.read:/a", "storage.create:/b")
    assert order.audiences is None
    assert (order.minimum_seconds, order.longest_seconds) == (2400, 1200)
    assert (order.place.mode, order.place.line_end) == (0o400, True)
    assert order.place.path == scene.use("alice", "cms")


def test_what_is_not_a_request_is_not_looked_at(scene: Scene) -> None:
    """Marks, temporary files, pending logins and what lies about are nobody's orders."""
    scene.credd.mark("bob")
    (scene.credd.folder / ("a" * 64)).write_text("Provider = 1")
    (scene.credd.folder / "README.credentials").touch()
    (scene.credd.user("alice") / "cms.top.tmp").write_bytes(b"{}")
    (scene.credd.user("alice") / "web.meta").write_bytes(b"{}")
    (scene.credd.user("alice") / "web.top").write_bytes(b'{"refresh_token": "x"}')
    assert scene.look() == {}
    assert scene.said == []
    assert (scene.credd.folder / "bob.mark").exists()


def test_a_replaced_request_is_a_new_order_without_any_signal(scene: Scene) -> None:
    """The credd says nothing if a `.use` is there; the time of the file does."""
    scene.credd.store("alice", "cms", REQUEST)
    before = scene.look()["alice/cms"]
    scene.deliver("alice/cms")
    signals = scene.credd.signals
    scene.credd.store("alice", "cms", {**REQUEST, "vault_token": "hvs.BBBB"})
    after = scene.look()["alice/cms"]
    assert scene.credd.signals == signals
    assert after.version != before.version
    assert after.secret != before.secret


def test_an_unchanged_folder_gives_the_same_orders(scene: Scene) -> None:
    """What did not change is not read again, and is not placed anew."""
    scene.credd.store("alice", "cms", REQUEST)
    first = scene.look()
    scene.deliver("alice/cms")
    assert scene.look() == first


def test_a_lost_file_is_an_order_placed_anew(scene: Scene) -> None:
    """Jobs are held while there is no file, so it is fetched at once, not when it would be due."""
    scene.credd.store("alice", "cms", REQUEST)
    before = scene.look()["alice/cms"]
    scene.deliver("alice/cms")
    scene.use("alice", "cms").unlink()
    assert scene.look()["alice/cms"].version != before.version
    again = scene.look()["alice/cms"].version
    assert scene.look()["alice/cms"].version == again


def test_a_file_that_was_found_and_then_lost_is_fetched_as_well(scene: Scene) -> None:
    """It does not matter who had delivered it."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    scene.deliver("alice/cms")
    scene.start()
    before = scene.look()["alice/cms"]
    assert scene.source.found(before) is not None
    scene.use("alice", "cms").unlink()
    assert scene.look()["alice/cms"].version != before.version


def test_a_handle_uses_the_secret_of_its_parent(scene: Scene) -> None:
    """The parent is what stands before the last underscore; a new secret there is an order anew."""
    scene.credd.store("alice", "dune_production", REQUEST)
    scene.credd.store("alice", "dune_production_ro", {"vault_url": URL, "scopes": "storage.read:/"})
    child = scene.look()["alice/dune_production_ro"]
    assert child.secret == scene.look()["alice/dune_production"].secret
    assert child.scopes == ("storage.read:/",)
    scene.credd.store("alice", "dune_production", {**REQUEST, "vault_token": "cb_new"})
    renewed = scene.look()["alice/dune_production_ro"]
    assert renewed.version != child.version
    assert renewed.server.startswith("lease+")


def test_a_missing_parent_is_told_and_nothing_is_removed(scene: Scene) -> None:
    """The child's files stay, and it is served once the parent is there again."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.credd.store("alice", "cms_ro", {"vault_url": URL})
    scene.look()
    scene.deliver("alice/cms_ro")
    scene.credd.delete("alice", "cms")
    assert scene.look() == {}
    assert "cms" in str(scene.said[-1][1]["why"])
    assert scene.use("alice", "cms_ro").exists()
    assert (scene.credd.folder / "alice" / "cms_ro.top").exists()
    scene.credd.store("alice", "cms", REQUEST)
    assert set(scene.look()) == {"alice/cms", "alice/cms_ro"}


POISON = {
    "no JSON": b"{",
    "not UTF-8": b'{"vault_url": "\xff\xfe"}',
    "a list": b"[1]",
    "huge": b" " * 70_000,
    "nested": b"[" * 20_000,
    "no URL": b"{}",
    "a number as token": b'{"vault_url": "%s", "vault_token": 5}' % URL.encode(),
    "a token that smuggles": b'{"vault_url": "%s", "vault_token": "a\\r\\nX: y"}' % URL.encode(),
    "http": b'{"vault_url": "http://vault.example.org:8200/v1/x", "vault_token": "a"}',
    "a twin": b'{"vault_url": "a", "vault_url": "b"}',
}


@pytest.mark.parametrize("content", POISON.values(), ids=POISON.keys())
def test_one_broken_request_concerns_its_own_name_alone(scene: Scene, content: bytes) -> None:
    """It is told once, and its neighbours and its own old token are untouched."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.credd.store("alice", "bad", content)
    scene.credd.store("bob", "cms", REQUEST)
    scene.credd.store_plain("alice", "bad", b"what was there")
    assert set(scene.look()) == {"alice/cms", "bob/cms"}
    scene.pass_time(60)
    scene.look()
    assert scene.events() == ["no new token"]
    assert scene.said[0][1]["name"] == "bad"
    assert "hvs" not in str(scene.said)
    assert scene.use("alice", "bad").read_bytes() == b"what was there"


def test_links_lead_root_nowhere(scene: Scene) -> None:
    """A linked request is an error, a linked user is nobody, and what they point at is not read."""
    scene.credd.store("alice", "cms", REQUEST)
    secret = scene.credd.folder.parent / "secret"
    secret.write_text(json.dumps({**REQUEST, "vault_token": "stolen"}))
    (scene.credd.folder / "alice" / "bad.top").symlink_to(secret)
    (scene.credd.folder / "mallory").symlink_to(scene.credd.folder / "alice")
    os.mkfifo(scene.credd.folder / "alice" / "pipe.top")
    assert set(scene.look()) == {"alice/cms"}
    assert {str(fields["name"]) for _, fields in scene.said} == {"bad", "pipe"}


def test_a_swept_user_is_forgotten_and_not_made_again(scene: Scene) -> None:
    """A folder that vanishes between two looks, or before a write, is no error."""
    scene.credd.store("alice", "cms", REQUEST)
    order = scene.look()["alice/cms"]
    scene.credd.mark("alice")
    assert set(scene.look()) == {"alice/cms"}, "a mark alone changes nothing"
    scene.credd.sweep("alice")
    scene.source.failed(order, CredbrokerError("cannot be written"))
    assert scene.look() == {}
    assert scene.said == []
    assert not (scene.credd.folder / "alice").exists()


def test_a_withdrawn_request_takes_along_only_what_was_delivered_for_it(scene: Scene) -> None:
    """Plain tokens look the same: what was not delivered from here stays."""
    for name in ("ours", "theirs", "changed"):
        scene.credd.store("alice", name, REQUEST)
    scene.look()
    scene.deliver("alice/ours")
    scene.deliver("alice/changed")
    scene.credd.store_plain("alice", "theirs", b"plain")
    scene.use("alice", "changed").unlink()
    scene.credd.store_plain("alice", "changed", b"plain")
    for name in ("ours", "theirs", "changed"):
        (scene.credd.folder / "alice" / f"{name}.top").unlink()
    assert scene.look() == {}
    assert not scene.use("alice", "ours").exists()
    assert scene.use("alice", "theirs").exists()
    assert scene.use("alice", "changed").read_bytes() == b"plain"


def test_after_a_restart_nothing_is_known_to_be_ours_and_nothing_goes(scene: Scene) -> None:
    """A credmon that has just started leaves a `.use` without a `.top` alone."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    scene.deliver("alice/cms")
    scene.start()
    order = scene.look()["alice/cms"]
    assert scene.source.found(order) is not None
    (scene.credd.folder / "alice" / "cms.top").unlink()
    scene.look()
    assert scene.use("alice", "cms").exists()


def test_a_delivery_that_comes_after_the_request_is_gone_is_taken_back(scene: Scene) -> None:
    """A `.use` is never brought back for somebody who deleted it."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    order = scene.source.orders()["alice/cms"]
    scene.deliver("alice/cms")
    kept = scene.source.orders
    scene.credd.delete("alice", "cms")
    scene.look()
    scene.source.orders = lambda: {"alice/cms": order}  # type: ignore[method-assign]  # as it was
    scene.deliver("alice/cms")
    scene.source.orders = kept  # type: ignore[method-assign]  # as it is
    assert not scene.use("alice", "cms").exists()


def test_what_lies_there_is_found_only_if_it_is_newer_than_the_request(scene: Scene) -> None:
    """By the times of change of the files, as HTCondor's credmon judges."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    scene.deliver("alice/cms", seconds=3000)
    scene.start()
    order = scene.look()["alice/cms"]
    token = scene.source.found(order)
    assert token is not None
    changed = scene.use("alice", "cms").stat().st_ctime
    assert abs(token.obtained_at.timestamp() - changed) < 0.001
    assert scene.source.is_settled()
    time_apart(scene)
    scene.credd.store("alice", "cms", REQUEST)
    scene.start()
    assert scene.source.found(scene.look()["alice/cms"]) is None


@pytest.mark.parametrize("wrong", ["empty", "text", "mode"])
def test_what_lies_there_and_is_unfit_is_not_found(scene: Scene, wrong: str) -> None:
    """An empty file, one without a token and one that others may read are replaced at once."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    scene.deliver("alice/cms")
    path = scene.use("alice", "cms")
    path.chmod(0o644 if wrong == "mode" else 0o600)
    if wrong != "mode":
        path.write_bytes(b"" if wrong == "empty" else b"no token\n")
    scene.start()
    assert scene.source.found(scene.look()["alice/cms"]) is None


KEPT = [
    NotAllowed("permission denied"),
    BrokerUnreachable("away"),
    GrantPaused("paused"),
    GrantInDoubt("in doubt"),
    LeaseUnknown("unknown"),
]


@pytest.mark.parametrize("error", KEPT, ids=lambda error: type(error).__name__)
def test_no_error_that_may_pass_takes_anything_away(scene: Scene, error: CredbrokerError) -> None:
    """A storm of refusals leaves every `.top` and `.use` as it was, also when its token is over."""
    scene.credd.store("alice", "cms", REQUEST)
    order = scene.look()["alice/cms"]
    content = scene.deliver("alice/cms", seconds=1000)
    for _ in range(100):
        scene.source.failed(order, error)
        scene.pass_time(60)
        scene.look()
    assert scene.use("alice", "cms").read_bytes() == content
    assert (scene.credd.folder / "alice" / "cms.top").exists()
    assert scene.events().count("no new token") == 1


@pytest.mark.parametrize("error", [LeaseEnded("over"), LoginNeeded("over")])
def test_a_certain_end_takes_the_file_only_once_its_token_is_over(
    scene: Scene, error: CredbrokerError
) -> None:
    """Until then it stays; then the log says that jobs will be held. The `.top` is never removed."""
    scene.credd.store("alice", "cms", REQUEST)
    order = scene.look()["alice/cms"]
    content = scene.deliver("alice/cms", seconds=1000)
    scene.source.failed(order, error)
    scene.pass_time(990)
    scene.source.read_by(scene.source._reader)
    scene.look()
    assert scene.use("alice", "cms").read_bytes() == content
    scene.pass_time(20)
    scene.look()
    assert not scene.use("alice", "cms").exists()
    assert (scene.credd.folder / "alice" / "cms.top").exists()
    assert "HTCondor will hold its jobs" in scene.events()[-1]
    version = scene.look()["alice/cms"].version
    assert version == order.version, "nothing new was asked for"


def test_a_new_login_undoes_a_certain_end(scene: Scene) -> None:
    """What was stored since is another request."""
    scene.credd.store("alice", "cms", REQUEST)
    order = scene.look()["alice/cms"]
    scene.deliver("alice/cms", seconds=1000)
    scene.source.failed(order, LeaseEnded("over"))
    scene.credd.store("alice", "cms", {**REQUEST, "vault_token": "hvs.BBBB"})
    scene.look()
    scene.pass_time(2000)
    scene.look()
    assert scene.use("alice", "cms").exists()


def test_a_token_that_is_about_to_end_is_an_alarm_once(scene: Scene) -> None:
    """Below ten minutes a job may get what ends before the next one comes."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    scene.deliver("alice/cms", seconds=1000)
    scene.pass_time(300)
    scene.look()
    assert scene.said == []
    scene.pass_time(150)
    scene.look()
    scene.pass_time(10)
    scene.look()
    assert [event for event in scene.events() if event.startswith("ALARM")] == scene.events()
    assert len(scene.events()) == 1
    scene.deliver("alice/cms", seconds=1000)
    scene.pass_time(500)
    scene.look()
    assert len(scene.events()) == 2


def test_new_settings_are_asked_at_every_name(scene: Scene) -> None:
    """A name that is not served any more is forgotten, and its files stay."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.credd.store("alice", "dune", REQUEST)
    before = scene.look()
    scene.deliver("alice/cms")
    reader = scene.source._reader
    fewer = dataclasses.replace(scene.settings, claims=Claims(vault=frozenset({"dune"})))
    scene.source.read_by(dataclasses.replace(reader, settings=fewer))
    assert scene.source.orders() == {"alice/dune": before["alice/dune"]}
    assert scene.use("alice", "cms").exists()


def test_looking_at_many_users_costs_little(scene: Scene) -> None:
    """Where nothing changed: at ten thousand a fifth of a second of CPU, and a fifth as many here."""
    for number in range(2_000):
        folder = scene.credd.folder / f"u{number}"
        folder.mkdir()
        (folder / "cms.top").write_text(json.dumps(REQUEST))
        (folder / "cms.use").touch()
    assert len(scene.look()) == 2_000
    scene.pass_time(60)
    scene.look()
    took = []
    for _ in range(5):
        begun = time.process_time()
        scene.look()
        took.append(time.process_time() - begun)
    assert min(took) < 0.2 / 5 * 3, "with room for a machine that is slow"


def test_what_a_crash_left_is_taken_away_at_the_next_start(scene: Scene) -> None:
    """A temporary file has a token in it; one that another program may be writing now stays."""
    scene.credd.store("alice", "cms", REQUEST)
    folder = scene.credd.folder / "alice"
    left = folder / ".credbroker-AAAA"
    left.write_bytes(b"a token")
    left.chmod(0o600)
    (folder / ".other").write_bytes(b"somebody's")
    (folder / ".credbroker-folder").mkdir()
    scene.look()
    assert left.exists()
    scene.pass_time(7200)
    scene.start()
    scene.look()
    assert sorted(one.name for one in folder.iterdir()) == [
        ".credbroker-folder", ".other", "cms.top",
    ]  # fmt: skip


def failing(monkeypatch: pytest.MonkeyPatch, deed: str, names: set[str]) -> None:
    """Let the disk fail at these names, whatever is done with them by `deed`."""
    real = getattr(os, deed)

    def fail(path: object, *args: object, **more: object) -> object:
        if str(path).rpartition("/")[2] in names:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *args, **more)

    monkeypatch.setattr(os, deed, fail)


def test_a_failing_disk_makes_no_request_vanish(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `.top` that cannot be looked at is not one that was withdrawn: its `.use` stays."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.credd.store("bob", "cms", REQUEST)
    scene.look()
    content = scene.deliver("alice/cms")
    with monkeypatch.context() as patch:
        failing(patch, "stat", {"cms.top"})
        scene.source.read_by(scene.source._reader)
        assert set(scene.look()) == {"alice/cms", "bob/cms"}
    assert scene.use("alice", "cms").read_bytes() == content
    scene.credd.store("bob", "dune", REQUEST)
    assert set(scene.look()) == {"alice/cms", "bob/cms", "bob/dune"}


def test_a_folder_that_cannot_be_listed_keeps_no_other_from_being_served(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of, what is known of it goes on, and it is looked at again the next time."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    scene.credd.store("alice", "dune", REQUEST)
    scene.credd.store("bob", "cms", REQUEST)
    scene.pass_time(60)
    scandir, bad = os.scandir, (scene.credd.folder / "alice").stat().st_ino
    with monkeypatch.context() as patch:

        def fail(folder: int) -> object:
            if os.fstat(folder).st_ino == bad:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return scandir(folder)

        patch.setattr(os, "scandir", fail)
        assert set(scene.look()) == {"alice/cms", "bob/cms"}
    assert scene.events() == ["a folder cannot be read"]
    assert set(scene.look()) == {"alice/cms", "alice/dune", "bob/cms"}


def test_a_folder_of_all_that_cannot_be_listed_now_ends_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the machine has no descriptor left: the orders go on, and it is looked again."""
    scene.credd.store("alice", "cms", REQUEST)
    before, looks = scene.look(), scene.source.looks
    with monkeypatch.context() as patch:

        def fail(folder: int) -> object:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        patch.setattr(os, "scandir", fail)
        assert scene.look() == before
    assert scene.source.looks == looks, "nobody is told that everything was looked at"
    assert scene.events() == ["the folder cannot be read"]
    assert scene.look() == before


def test_a_request_that_cannot_be_read_now_is_read_the_next_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing changes in the folder; and what had been delivered is not fetched again."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    scene.deliver("alice/cms")
    scene.pass_time(60)
    with monkeypatch.context() as patch:
        failing(patch, "open", {"cms.top"})
        scene.source.read_by(scene.source._reader)
        assert scene.look() == {}
        scene.look()
    assert scene.events() == ["no new token"]
    order = scene.look()["alice/cms"]
    assert scene.source.found(order) is not None


def time_apart(scene: Scene) -> None:
    """Let the file system's clock tick."""
    probe = scene.credd.folder.parent / "tick"
    probe.touch()
    first = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == first:
        probe.touch()
