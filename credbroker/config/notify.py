"""The settings of notices: by which mail server, and to which webhook, people and operators are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from credbroker.config.section import Section, Text
from credbroker.domain.notices import is_address

Finding = tuple[str, str]


class Mail(Section, frozen=True):
    """The mail server that notices go through, from the address `sender`.

    `starttls` and `tls` check its certificate, by the authorities in `ca_file` (PEM) or the system's;
    `none` is for a server on a loopback address. With a `user` the broker logs in there. A mail is
    given up, for then, after `seconds`.
    """

    server: Text
    sender: Text
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    user: Text | None = None
    password_file: Path | None = None
    seconds: Annotated[float, Meta(gt=0, le=60)] = 30.0


class Webhook(Section, frozen=True):
    """Where an operator's program is told, signed with the secret in `secret_file`."""

    url: Text
    secret_file: Path
    ca_file: Path | None = None
    seconds: Annotated[float, Meta(gt=0, le=60)] = 10.0


class Notify(Section, frozen=True):
    """Who is told in time that a login ends or needs them: people by mail, an operator by webhook.

    Each replica tells of at most `most_per_minute` logins in a minute.
    """

    mail: Mail | None = None
    webhook: Webhook | None = None
    most_per_minute: Annotated[int, Meta(ge=1, le=1000)] = 20


def notify_secret_files(notify: Notify) -> Iterator[tuple[str, Path]]:
    """Yield every secret that notices are sent with: (kind, file)."""
    if notify.mail is not None and notify.mail.password_file is not None:
        yield "mail password", notify.mail.password_file
    if notify.webhook is not None:
        yield "webhook secret", notify.webhook.secret_file


def notify_findings(
    notify: Notify,
    web_faults: Callable[[str], Iterable[str]],
    is_loopback: Callable[[str], bool],
) -> Iterator[Finding]:
    """Yield what a type cannot say: (key, what is wrong)."""
    mail, webhook = notify.mail, notify.webhook
    if mail is not None:
        if not is_address(mail.sender):
            yield "$.notify.mail.sender", "this must be a plain mail address"
        if not mail.server.isprintable() or set(mail.server) & set(" /@"):
            yield "$.notify.mail.server", "this must be a host's name or address"
        if mail.security == "none" and not is_loopback(mail.server):
            yield "$.notify.mail.security", "`none` is for a server on a loopback address only"
        if (mail.user is None) != (mail.password_file is None):
            yield "$.notify.mail.user", "`user` and `password_file` go together"
    if webhook is not None:
        for why in web_faults(webhook.url):
            yield "$.notify.webhook.url", why
