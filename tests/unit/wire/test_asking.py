"""The two messages of a job; all others, and how they are written, are in `test_native`."""

from __future__ import annotations

import subprocess
import sys

from credbroker.wire import asking, native


def test_they_are_those_of_the_native_api() -> None:
    """Server and clients share them."""
    assert native.AskToken is asking.AskToken
    assert native.TokenGiven is asking.TokenGiven
    assert native.TOKENS == asking.TOKENS


def test_who_asks_for_a_token_loads_no_other_message() -> None:
    """They are many, and each takes a millisecond."""
    watch = "import sys, credbroker.client.broker; print('credbroker.wire.native' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
