"""What is known about an issuer decides which rule its unanswered refreshes go by."""

from __future__ import annotations

import pytest

from credbroker.domain.marks import IssuerMark
from credbroker.domain.rotation import Rule, UnclearRule


@pytest.mark.parametrize(
    ("recorded", "operators", "rotates", "effective"),
    [
        (None, None, False, UnclearRule.ASK),
        (UnclearRule.ONCE_MORE, None, False, UnclearRule.ONCE_MORE),
        (UnclearRule.ONCE_MORE, UnclearRule.ASK, False, UnclearRule.ASK),
        (None, UnclearRule.RETRY_SAFE, False, UnclearRule.RETRY_SAFE),
        (None, UnclearRule.RETRY_SAFE, True, UnclearRule.ASK),
        (UnclearRule.RETRY_SAFE, None, True, UnclearRule.ASK),
        (UnclearRule.ONCE_MORE, None, True, UnclearRule.ONCE_MORE),
    ],
)
def test_the_operators_rule_outranks_a_recorded_one_and_a_changed_value_both(
    recorded: UnclearRule | None,
    operators: UnclearRule | None,
    rotates: bool,
    effective: UnclearRule,
) -> None:
    """Nothing known means `ask`; one changed value ends `retry_safe` for good."""
    mark = IssuerMark("cms", Rule(recorded) if recorded else None, rotates=rotates)
    assert mark.effective(Rule(operators) if operators else None) == Rule(effective)
