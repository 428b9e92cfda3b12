"""What `ports.Channel` promises: by a real mail server, a real webhook, and the fake."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from credbroker.domain.secret import Secret
from credbroker.host.http import OutgoingHttp
from credbroker.host.mail import MailServer, SmtpMail
from credbroker.host.webhook import SIGNATURE, Webhook
from credbroker.ports import Letter, LetterRefusedError, NoAnswerError, NotSentError
from credbroker.wire.letters import signature
from tests.fakes.channel import FakeChannel
from tests.fakes.clock import FakeClock
from tests.mail_server import mail_server

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.demo.certificates import Authority

PASSWORD = Secret("mail password", "kd83jf0aKQ1zP5vb")
LETTER = Letter(
    "letter-1", "ada@example.org", "your login is lost", "Log in.\n.\nQUIT\n", {"cause": "lost"}
)
SERVER = MailServer("127.0.0.1", 0, "none", "broker@example.org", 5.0)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def mailing(server: MailServer) -> AsyncIterator[SmtpMail]:
    """Return what mails through a server."""
    mail = SmtpMail(server, FakeClock())
    try:
        yield mail
    finally:
        mail.close()


def tls_of(authority: Authority, folder: Path) -> ssl.SSLContext:
    """Return what a server on this host shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("mail", folder))
    return context


# -- mail ----------------------------------------------------------------------------------------


async def test_a_letter_arrives_as_it_was_written() -> None:
    """Once, at one address; a dot on a line of its own ends nothing."""
    async with mail_server() as server, mailing(replace(SERVER, port=server.port)) as mail:
        await mail.tell(LETTER)
    (read,) = server.mails
    assert server.recipients == ["ada@example.org"]
    assert (read["To"], read["From"]) == ("ada@example.org", "broker@example.org")
    assert read["Message-ID"] == "<letter-1@example.org>"
    assert read.get_content().splitlines() == ["Log in.", ".", "QUIT"]


async def test_by_starttls_the_certificate_and_the_login_are_checked(
    authority: Authority, tmp_path: Path
) -> None:
    """The password is said inside alone."""
    async with mail_server(tls_of(authority, tmp_path), password=PASSWORD.reveal()) as server:
        right = replace(
            SERVER, port=server.port, security="starttls", ca_file=str(authority.ca_file),
            user="broker", password=PASSWORD,
        )  # fmt: skip
        async with mailing(right) as mail:
            await mail.tell(LETTER)
        assert server.logins == [("broker", PASSWORD.reveal())]
        async with mailing(replace(right, ca_file=None)) as mail:
            with pytest.raises(NotSentError, match="certificate is not trusted"):
                await mail.tell(LETTER)
        wrong = replace(right, password=Secret("mail password", "another"))
        async with mailing(wrong) as mail:
            with pytest.raises(NotSentError, match="does not accept the login"):
                await mail.tell(LETTER)
    assert server.over_tls == [True]


async def test_tls_from_the_first_byte_is_checked_as_well(
    authority: Authority, tmp_path: Path
) -> None:
    """On the port for it (RFC 8314)."""
    async with mail_server(tls_of(authority, tmp_path), wrapped=True) as server:
        right = replace(SERVER, port=server.port, security="tls", ca_file=str(authority.ca_file))
        async with mailing(right) as mail:
            await mail.tell(LETTER)
        async with mailing(replace(right, ca_file=None)) as mail:
            with pytest.raises(NotSentError, match="certificate is not trusted"):
                await mail.tell(LETTER)
    assert len(server.mails) == 1


async def test_a_server_that_offers_no_tls_is_told_nothing() -> None:
    """Somebody on the way may have taken the offer out."""
    async with mail_server() as server:
        unsafe = replace(SERVER, port=server.port, security="starttls")
        async with mailing(unsafe) as mail:
            with pytest.raises(NotSentError, match="STARTTLS"):
                await mail.tell(LETTER)
    assert server.mails == []


@pytest.mark.parametrize(
    ("answer", "final"), [("550 No such person", True), ("451 Come back later", False)]
)
async def test_a_refused_recipient_and_a_refused_mail_concern_that_letter(
    answer: str, *, final: bool
) -> None:
    """For good or for now, as the server says."""
    async with mail_server() as server, mailing(replace(SERVER, port=server.port)) as mail:
        server.answer_to_recipient = answer
        with pytest.raises(LetterRefusedError) as refused:
            await mail.tell(LETTER)
        assert refused.value.final is final
        server.answer_to_recipient, server.answer_to_mail = "250 OK", answer
        with pytest.raises(LetterRefusedError) as refused:
            await mail.tell(LETTER)
        assert refused.value.final is final


async def test_a_server_that_is_not_there_was_told_nothing() -> None:
    """The port is closed."""
    async with mail_server() as server:
        port = server.port
    async with mailing(replace(SERVER, port=port)) as mail:
        with pytest.raises(NotSentError, match="refused"):
            await mail.tell(LETTER)


async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing, for ever."""
    await asyncio.Event().wait()


async def hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing, and go."""
    writer.close()


async def babbles(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say what is no SMTP, without end."""
    while True:
        writer.write(b"\xff" * 4096)
        await writer.drain()


async def takes_all_and_goes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a whole mail, and hang up without a word."""
    writer.write(b"220 mail.test\r\n")
    while line := await reader.readline():
        if line == b".\r\n":
            break
        if line.rstrip() == b"data":
            writer.write(b"354 Go on\r\n")
        elif line.rstrip().split(b" ")[0].lower() in {b"ehlo", b"mail", b"rcpt"}:
            writer.write(b"250 OK\r\n")
    writer.close()


async def dribbles(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say one letter of an endless greeting after the other."""
    turn = asyncio.Event()
    while True:
        writer.write(b"2")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await turn.wait()


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (silent, NotSentError),
        (hangs_up, NotSentError),
        (babbles, NotSentError),
        (dribbles, NotSentError),
        (takes_all_and_goes, NoAnswerError),
    ],
)
async def test_a_server_that_is_slow_or_lies_is_left_in_time(
    talk: Talk, error: type[Exception]
) -> None:
    """Only where the whole mail went out may it have been taken."""
    talking: list[asyncio.Task[None]] = []

    async def talk_to(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.append(asyncio.ensure_future(_quietly(talk(reader, writer), writer)))

    server = await asyncio.start_server(talk_to, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with mailing(replace(SERVER, port=port, seconds=0.4)) as mail, asyncio.timeout(5):
        with pytest.raises(error):
            await mail.tell(LETTER)
    for task in talking:
        task.cancel()
    await asyncio.gather(*talking, return_exceptions=True)
    server.close()
    await server.wait_closed()


async def test_a_connection_that_came_too_late_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time was over while the name was looked up, when there was nothing to end yet."""
    connect = socket.create_connection

    def slowly(*where: Any, **how: Any) -> socket.socket:
        threading.Event().wait(0.4)
        return connect(*where, **how)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _quietly(dribbles(reader, writer), writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(socket, "create_connection", slowly)
    async with mailing(replace(SERVER, port=port, seconds=0.2)) as mail, asyncio.timeout(5):
        with pytest.raises(NotSentError, match="in time"):
            await mail.tell(LETTER)
    server.close()
    await server.wait_closed()


async def test_a_password_that_no_server_can_be_told_is_said_without_it(
    authority: Authority, tmp_path: Path
) -> None:
    """SMTP's logins are ASCII; what Python raises of it has the password in it."""
    async with mail_server(tls_of(authority, tmp_path), password="x") as server:
        wrong = replace(
            SERVER, port=server.port, security="starttls", ca_file=str(authority.ca_file),
            user="broker", password=Secret("mail password", "sch\u00f6n"),
        )  # fmt: skip
        async with mailing(wrong) as mail:
            with pytest.raises(NotSentError, match="ASCII") as said:
                await mail.tell(LETTER)
    assert said.value.__cause__ is None


async def _quietly(talk: Awaitable[None], writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(ConnectionError):
            await talk
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


# -- webhook -------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """A real receiver of events."""

    status: int = 204
    got: list[tuple[bytes, str]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        """Keep an event."""
        self.got.append((await request.read(), request.headers[SIGNATURE]))
        return web.Response(status=self.status)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, Webhook]]:
    """Run a receiver, and return what posts to it."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        async with OutgoingHttp() as door:
            yield receiver, Webhook(door, receiver.url, PASSWORD, FakeClock(), seconds=5.0)
    finally:
        await runner.cleanup()


async def test_an_event_arrives_with_a_signature_that_only_we_can_make() -> None:
    """Of the body as it came."""
    async with receiving() as (receiver, webhook):
        await webhook.tell(LETTER)
    ((body, said),) = receiver.got
    assert json.loads(body) == {"cause": "lost"}
    assert said == signature(PASSWORD, FakeClock().now(), body)
    assert PASSWORD.reveal() not in said


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, LetterRefusedError), (401, NotSentError), (302, NotSentError), (503, NotSentError)],
)
async def test_a_webhook_that_refuses_an_event_or_all_of_them(
    status: int, error: type[Exception]
) -> None:
    """A redirect is followed nowhere."""
    async with receiving() as (receiver, webhook):
        receiver.status = status
        with pytest.raises(error):
            await webhook.tell(LETTER)
    assert len(receiver.got) == 1


# -- the fake ------------------------------------------------------------------------------------


async def test_the_fake_fails_as_the_real_ones_do() -> None:
    """Each failure once, whether the letter has arrived or not."""
    fake = FakeChannel()
    for error in (NotSentError(), LetterRefusedError("no", final=True)):
        fake.fail_next(error)
        with pytest.raises(type(error)):
            await fake.tell(LETTER)
    fake.fail_next(NoAnswerError(), arrives=True)
    with pytest.raises(NoAnswerError):
        await fake.tell(LETTER)
    assert fake.letters == [LETTER]
