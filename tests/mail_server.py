"""A real SMTP server on loopback that keeps what it takes, and can be told to be unwell."""

from __future__ import annotations

import asyncio
import email
import email.policy
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from email.message import EmailMessage


@dataclass
class MailServer:
    """What one server was told; what it answers is set by the test."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)
    password: str = ""
    answer_to_recipient: str = "250 OK"
    answer_to_mail: str = "250 OK"

    async def handle_RCPT(  # noqa: N802 - the name is the library's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        if self.answer_to_recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer_to_recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail."""
        assert isinstance(envelope.content, bytes)
        if self.answer_to_mail.startswith("250"):
            self.raw.append(envelope.content)
            self.mails.append(
                email.message_from_bytes(envelope.content, policy=email.policy.default)
            )
            self.recipients += envelope.rcpt_tos
            self.over_tls.append(session.ssl is not None)
        return self.answer_to_mail

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth: Any
    ) -> AuthResult:
        """Know the one password."""
        assert isinstance(auth, LoginPassword)
        self.logins.append((auth.login.decode(), auth.password.decode()))
        return AuthResult(success=auth.password.decode() == self.password, handled=False)


@asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None = None, *, wrapped: bool = False, password: str = ""
) -> AsyncIterator[MailServer]:
    """Run a server, with STARTTLS or `wrapped` in TLS; by STARTTLS it may want a `password`."""
    kept = MailServer(password=password)
    loop = asyncio.get_running_loop()
    usual: dict[str, Any] = {"hostname": "mail.test", "loop": loop, "enable_SMTPUTF8": False}
    if tls is not None and not wrapped:
        usual |= {"tls_context": tls, "require_starttls": True}
    if password:
        usual |= {
            "authenticator": kept.authenticate, "auth_required": True,
            "auth_exclude_mechanism": ["LOGIN"],
        }  # fmt: skip
    server = await loop.create_server(
        lambda: SMTP(kept, **usual), "127.0.0.1", 0, ssl=tls if wrapped else None
    )
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        server.close()
        await server.wait_closed()
