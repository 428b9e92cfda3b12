"""The settings of notices: nobody is told unless it is set, and a fault is named before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from credbroker.config.load import load, secret_files
from credbroker.config.notify import Notify
from credbroker.domain.errors import BadSettings
from tests.unit.config.place import right, write

MAIL = {"server": "smtp.example.org", "sender": "broker@example.org"}


def test_nobody_is_told_unless_it_is_set() -> None:
    """And then no more than twenty logins a minute."""
    assert Notify() == Notify(mail=None, webhook=None, most_per_minute=20)


def test_mail_goes_by_starttls_to_the_port_for_it(tmp_path: Path) -> None:
    """As RFC 6409 has it; both secrets are among those that are checked."""
    password, secret = tmp_path / "password", tmp_path / "secret"
    notify = {
        "mail": {**MAIL, "user": "broker", "password_file": str(password)},
        "webhook": {"url": "https://alerts.example.org/credbroker", "secret_file": str(secret)},
    }
    settings = load(write(tmp_path, all={**right(tmp_path), "notify": notify}))
    assert settings.notify.mail is not None
    assert (settings.notify.mail.port, settings.notify.mail.security) == (587, "starttls")
    files = secret_files(settings)
    assert ("mail password", password) in files
    assert ("webhook secret", secret) in files


@pytest.mark.parametrize(
    ("notify", "key"),
    [
        ({"mail": {**MAIL, "sender": "Broker <broker@example.org>"}}, "notify.mail.sender"),
        ({"mail": {**MAIL, "server": "smtp.example.org\r\nX"}}, "notify.mail.server"),
        ({"mail": {**MAIL, "server": "https://smtp.example.org"}}, "notify.mail.server"),
        ({"mail": {**MAIL, "security": "none"}}, "notify.mail.security"),
        ({"mail": {**MAIL, "user": "broker"}}, "notify.mail.user"),
        ({"mail": {**MAIL, "password_file": "/x"}}, "notify.mail.user"),
        ({"mail": {**MAIL, "password": "x"}}, "notify.mail.password"),
        ({"webhook": {"url": "http://alerts.example.org/", "secret_file": "/x"}}, "webhook.url"),
        ({"webhook": {"url": "https://alerts.example.org/"}}, "notify.webhook.secret_file"),
        ({"most_per_minute": 0}, "notify.most_per_minute"),
    ],
)
def test_a_fault_is_named_by_its_key(tmp_path: Path, notify: dict[str, Any], key: str) -> None:
    """Plain text to another host, half a login, an address that is none."""
    with pytest.raises(BadSettings) as raised:
        load(write(tmp_path, all={**right(tmp_path), "notify": notify}))
    assert key in raised.value.sentence


def test_plain_text_stays_on_this_host(tmp_path: Path) -> None:
    """A mail server on a loopback address needs no TLS."""
    notify = {"mail": {**MAIL, "server": "127.0.0.1", "port": 25, "security": "none"}}
    assert load(write(tmp_path, all={**right(tmp_path), "notify": notify})).notify.mail
