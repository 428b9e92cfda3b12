"""Hands mails to one SMTP server, each over a connection of its own, in a thread of its own.

- Without TLS nothing is said to any server but one on a loopback address: `config` sees to that.
- A server that hangs, or dribbles, is left after the time limit, whatever it says.
- What was said decides: a refused recipient concerns that letter alone, a refused sender or login all
  letters; an answer missing after the text means that it may have been taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from credbroker.domain.secret import Secret
from credbroker.ports import (
    Clock,
    Letter,
    LetterRefusedError,
    NoAnswerError,
    NotSentError,
)
from credbroker.wire.letters import prove, write_mail

_FAILURES = (smtplib.SMTPException, OSError)
_CUT_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails go and who they are from; `security` is `starttls`, `tls` or `none`."""

    host: str
    port: int
    security: str
    sender: str
    seconds: float
    ca_file: str | None = None
    user: str | None = None
    password: Secret | None = None


class SmtpMail:
    """Mails letters (RFC 5321). Follows `ports.Channel`; `close` when done."""

    def __init__(self, server: MailServer, clock: Clock) -> None:
        """Hand mails to `server`, dated by `clock`. Raises `OSError` if its authorities are unfit."""
        self._server = server
        self._clock = clock
        self._tls = ssl.create_default_context(cafile=server.ca_file)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._thread = ThreadPoolExecutor(1, "mail")

    def close(self) -> None:
        """Take no more letters."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def tell(self, letter: Letter) -> None:
        """Mail a letter; see `ports.Channel.tell`."""
        mail = write_mail(
            self._server.sender, letter.to, subject=letter.subject, text=letter.text,
            letter_id=letter.id, now=self._clock.now(),
        )  # fmt: skip
        said = _Conversation(self._server, self._tls)
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(self._thread, said.mail, letter.to, mail)
        try:
            await asyncio.wait({working}, timeout=self._server.seconds)
            while not working.done():  # again: it may be connected only now
                said.cut_off()
                await asyncio.wait({working}, timeout=_CUT_AGAIN_SECONDS)
        except asyncio.CancelledError:
            said.cut_off()
            raise
        working.result()


class _Smtp(smtplib.SMTP):
    """One that is not connected yet, and knows whose certificate to ask for."""

    def __init__(self, host: str, seconds: float) -> None:
        super().__init__(timeout=seconds)
        self._host = host


class _OverTls(smtplib.SMTP_SSL):
    """The same with TLS from the first byte (RFC 8314 section 3.3)."""

    def __init__(self, host: str, seconds: float, tls: ssl.SSLContext) -> None:
        super().__init__(timeout=seconds, context=tls)
        self._host = host


class _Conversation:
    """One connection, from its thread; only `cut_off` is called from another."""

    def __init__(self, server: MailServer, tls: ssl.SSLContext) -> None:
        self._server = server
        self._tls = tls
        self._smtp: smtplib.SMTP | None = None
        self._is_over = self._text_sent = False

    def mail(self, to: str, mail: bytes) -> None:
        try:
            with contextlib.closing(self._opened()) as smtp:
                self._hand_over(smtp, to, mail)
                with contextlib.suppress(*_FAILURES):
                    smtp.quit()
        except _FAILURES as error:
            if self._text_sent and not isinstance(error, smtplib.SMTPResponseException):
                raise NoAnswerError("the mail server did not say whether it took a mail") from error
            raise NotSentError(_why(TimeoutError() if self._is_over else error)) from error

    def cut_off(self) -> None:
        """End it now; a server that says one letter every minute would never let go."""
        self._is_over = True
        connected = self._smtp.sock if self._smtp is not None else None
        if connected is not None:
            with contextlib.suppress(OSError):
                # As a plain socket: that of TLS would be taken apart under the thread that reads it.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _opened(self) -> smtplib.SMTP:
        one = self._server
        smtp: smtplib.SMTP
        if one.security == "tls":
            smtp = _OverTls(one.host, one.seconds, self._tls)
        else:
            smtp = _Smtp(one.host, one.seconds)
        self._smtp = smtp
        try:
            self._greet(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _greet(self, smtp: smtplib.SMTP) -> None:
        one = self._server
        code, _ = smtp.connect(one.host, one.port)
        if self._is_over:  # it came about too late to be cut
            raise TimeoutError
        if code != 220:
            raise smtplib.SMTPConnectError(code, "")
        if one.security == "starttls":
            smtp.starttls(context=self._tls)
        if one.user is not None and one.password is not None:
            _log_in(smtp, one.user, one.password)
        smtp.ehlo_or_helo_if_needed()

    def _hand_over(self, smtp: smtplib.SMTP, to: str, mail: bytes) -> None:
        code, _ = smtp.mail(self._server.sender)
        if code != 250:
            raise NotSentError(f"the mail server refuses our sender ({code})")
        code, _ = smtp.rcpt(to)
        if code not in {250, 251}:
            raise LetterRefusedError(
                f"the mail server refuses a recipient ({code})", final=code >= 500
            )
        self._text_sent = True
        try:
            code, _ = smtp.data(mail)
        except smtplib.SMTPDataError as error:
            code = error.smtp_code
        if code != 250:
            raise LetterRefusedError(f"the mail server refuses a mail ({code})", final=code >= 500)


def _log_in(smtp: smtplib.SMTP, user: str, password: Secret) -> None:
    try:
        prove(smtp.login, user, password)
        return
    except UnicodeEncodeError:
        pass  # it has the password in it, and must not be the context of another
    raise NotSentError("the user or password for the mail server is not ASCII")


def _why(error: Exception) -> str:
    """Say in a few words what failed; never what the server said, which may hold what we sent it."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "the mail server does not accept the login"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server offers no STARTTLS, or no way to log in"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server refuses ({error.smtp_code})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the mail server's certificate is not trusted"
    if isinstance(error, ssl.SSLError):
        return "the mail server does not speak TLS as it should"
    if isinstance(error, TimeoutError):
        return "the mail server does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"the mail server is not reached ({error.strerror.lower()})"
    return "the mail server hung up"
