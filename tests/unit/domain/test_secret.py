"""A secret shows itself to nobody who does not ask for it by name."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import traceback

import pytest

from credbroker.domain.secret import Secret
from credbroker.telemetry.canaries import Canaries

VALUE = "kd83jf0aKQ1zP5vbnT7wXyQm"
SECRET = Secret("refresh token", VALUE)


def test_a_secret_leaks_by_no_careless_way(canaries: Canaries) -> None:
    """`repr`, `str`, `format`, f-strings, containers, `%`, tracebacks."""
    canaries.plant("refresh token", VALUE)
    shown = [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>80}",
        str([SECRET]),
        f"{(SECRET,)}",
    ]
    shown += ["%s" % SECRET, str({"a": SECRET}), SECRET.fingerprint()]  # noqa: UP031
    shown += traceback.format_exception(ValueError(SECRET))
    canaries.search_text("careless texts", "\n".join(shown).encode())


@pytest.mark.parametrize("spread", [pickle.dumps, copy.deepcopy, copy.copy, json.dumps])
def test_a_secret_does_not_travel_unasked(spread: object) -> None:
    """It would do so in clear text."""
    assert callable(spread)
    with pytest.raises(TypeError):
        spread(SECRET)


def test_a_secret_has_no_dictionary_that_a_dump_would_show() -> None:
    """As crash reporters do with `vars`."""
    with pytest.raises(TypeError):
        vars(SECRET)


def test_secrets_are_equal_when_their_values_are() -> None:
    """Whatever they are called; a text is never a secret."""
    assert Secret("lease", VALUE) == SECRET
    assert len({SECRET, Secret("lease", VALUE), Secret("lease", "other")}) == 2
    assert SECRET != VALUE
    assert not Secret("lease", "")


def test_a_secret_gives_its_value_digest_and_longer_form() -> None:
    """For the one place that sends or recognises it."""
    assert SECRET.reveal() == VALUE
    assert SECRET.digests() == tuple(
        hashlib.new(name, VALUE.encode()).hexdigest() for name in ("sha256", "sha1")
    )
    longer = SECRET.extended("lease token", "cb_")
    assert longer.reveal() == "cb_" + VALUE
    assert longer.beginning("prefix", 3) == Secret("prefix", "cb_")
    assert SECRET.digest().startswith(SECRET.fingerprint())
    assert SECRET.digest() == SECRET.digests()[0]
    assert len(SECRET.digests()[1]) == 40
