"""Every error belongs to who must act on it, and says what to do."""

from __future__ import annotations

import re

from credbroker.domain.errors import GrantLost, Misconfigured, Refused, Unavailable, leaves

FAMILIES = (Refused, GrantLost, Unavailable, Misconfigured)


def test_every_error_has_a_word_of_its_own() -> None:
    """Programs tell errors apart by it."""
    words = [kind.code for kind in leaves()]
    assert len(words) == len(set(words)) >= 20
    assert all(re.fullmatch(r"[a-z_]+", word) for word in words)


def test_every_error_is_of_one_family_and_has_a_remedy() -> None:
    """Who must act is never left open."""
    for kind in leaves():
        assert sum(issubclass(kind, family) for family in FAMILIES) == 1, kind
        assert kind("Something happened.").remedy
        assert kind.__doc__


def test_a_remedy_of_its_own_beats_the_usual_one() -> None:
    """And the sentence is what is shown."""
    kind = next(leaves())
    error = kind("This happened.", "Do that.")
    assert (str(error), error.remedy, error.request_id) == ("This happened.", "Do that.", None)
