"""What a token file holds in each form, and that it is read again."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.delivery.token_forms import Form, read, written
from credbroker.domain.secret import Secret
from tests.unit.things import NOON, access_token, seconds

TOKEN = access_token(value=Secret("access token", "aaa.bbb.ccc"))


@pytest.mark.parametrize(
    ("form", "content"),
    [
        (Form.RAW, b"aaa.bbb.ccc"),
        (Form.JSON, b'{"access_token":"aaa.bbb.ccc","expires_in":3600}'),
        (Form.ENV, b"BEARER_TOKEN=aaa.bbb.ccc"),
    ],
)
def test_each_form_is_one_line_that_ends_only_if_asked(form: Form, content: bytes) -> None:
    """Several readers strip nothing."""
    assert written(TOKEN, form) == content
    assert written(TOKEN, form, line_end=True) == content + b"\n"


def test_a_life_is_stated_in_whole_seconds_from_when_the_token_came() -> None:
    """By the broker's clock, so that this machine's does not matter."""
    late = access_token(obtained_at=NOON + seconds(600.5))
    assert json.loads(written(late, Form.JSON))["expires_in"] == 2999


def test_a_shell_reads_the_form_of_a_variable() -> None:
    """As systemd does."""
    script = written(TOKEN, Form.ENV, line_end=True).decode() + 'printf %s "$BEARER_TOKEN"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    assert said == b"aaa.bbb.ccc"


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("line_end", [True, False])
def test_what_is_written_is_read_again(form: Form, line_end: bool) -> None:
    """With a line end or without."""
    assert read(written(TOKEN, form, line_end=line_end), form) == TOKEN.value


@given(st.binary(max_size=60), st.sampled_from(Form))
def test_whatever_lies_there_is_a_text_or_nothing(content: bytes, form: Form) -> None:
    """Another form is no token of this one."""
    found = read(content, form)
    assert found is None or found.reveal().isascii()
    assert read(b"OTHER=aaa.bbb.ccc", Form.ENV) is None
    assert read(b'{"token":"x"}', Form.JSON) is None
    assert read(b" \n", Form.RAW) is None
