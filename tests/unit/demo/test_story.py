"""How the demo's story reads the agent's log."""

from __future__ import annotations

from credbroker.demo.story import times_in_vain


def test_only_what_brought_nothing_new_was_in_vain() -> None:
    """Refused, or answered with the token that was there already."""
    log = "\n".join(
        f"2026-06-01T12:00:00Z credbroker-agent: {event} why=x"
        for event in ("ready", "renewed", "kept", "unchanged", "renewed", "job over")
    )
    assert times_in_vain(log) == 2
    assert times_in_vain("") == 0
