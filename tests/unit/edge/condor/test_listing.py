"""How every credential stands, from the files alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from credbroker.edge.condor import listing
from credbroker.edge.condor.listing import Verdict
from credbroker.edge.condor.wanted import Reader
from tests.unit.edge.condor.scene import REQUEST

if TYPE_CHECKING:
    from tests.unit.edge.condor.scene import Scene


def shown(scene: Scene) -> list[listing.Shown]:
    """Return what is shown now."""
    return listing.look(Reader(scene.folder, scene.settings), scene.clock.now())


def test_each_credential_is_judged_by_what_jobs_get(scene: Scene) -> None:
    """Good, about to end, expired; new without a token, and without one for long."""
    assert listing.worst(shown(scene)) is Verdict.OK
    for name, seconds in (("good", 9000.0), ("short", 1000.0), ("over", 450.0)):
        scene.credd.store("alice", name, REQUEST)
        scene.look()
        scene.deliver(f"alice/{name}", seconds)
    scene.credd.store("bob", "none", REQUEST)
    assert {one.name: one.verdict for one in shown(scene)}["none"] is Verdict.WARNING
    scene.pass_time(500)
    verdicts = {one.name: one.verdict for one in shown(scene)}
    assert verdicts == {
        "good": Verdict.OK,
        "short": Verdict.WARNING,
        "over": Verdict.CRITICAL,
        "none": Verdict.CRITICAL,
    }
    assert listing.worst(shown(scene)) == 2


def test_a_broken_request_is_a_warning_while_its_token_is_good(scene: Scene) -> None:
    """The remark says what is wrong; no secret is shown anywhere."""
    scene.credd.store("alice", "cms", REQUEST)
    scene.look()
    scene.deliver("alice/cms", 9000)
    scene.credd.store("alice", "cms", b"{")
    (one,) = shown(scene)
    assert one.verdict is Verdict.WARNING
    assert "JSON" in one.remark


def test_both_forms_say_the_same(scene: Scene) -> None:
    """Time left, kind, server and remark; a last line counts."""
    scene.credd.store("alice", "cms", {**REQUEST, "vault_token": "cb_x"})
    scene.look()
    scene.deliver("alice/cms", 9030)
    now = scene.clock.now()
    text = listing.as_text(shown(scene), now)
    assert "OK       alice/cms  lease https://vault.example.org:8200  150 min left\n" in text
    assert text.endswith("1 credential: 1 ok, 0 warning, 0 critical\n")
    (fields,) = json.loads(listing.as_json(shown(scene), now))
    assert fields["verdict"] == "ok"
    assert fields["seconds_left"] in {9029, 9030}
    assert "cb_x" not in text
