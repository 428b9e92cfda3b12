"""Hosts that show certificates, over real TLS: only those of the listed authorities and names count.

Who shows none is served as ever, on the same port.
"""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from credbroker.building import server_tls
from credbroker.config.load import load
from credbroker.demo.private_files import write_private
from credbroker.host.http import Connector
from credbroker.wire import deliveries, native
from tests.integration.broker_world import Asked, BrokerWorld

if TYPE_CHECKING:
    from pathlib import Path

DAY = datetime.timedelta(days=1)
LISTED, ALIAS = "lx1.example.org", "lx.example.net"


@dataclass
class HostAuthority:
    """Signs hosts' certificates in `folder`."""

    folder: Path
    name: str = "hosts"

    def __post_init__(self) -> None:
        """Make a key, and sign it."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{self.name} CA")])
        self.ca_file = self.folder / f"{self.name}-ca.pem"
        made = self._builder(self.subject, self.key, DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca_file.write_bytes(_pem(made.sign(self.key, hashes.SHA256())))

    def issue(
        self,
        *names: str,
        until: datetime.timedelta = DAY,
        use: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> Path:
        """Return a file with a certificate for these names and its key, from yesterday `until` then."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a host")])
        made = (
            self._builder(subject, key, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
            )
        )
        file = self.folder / f"{self.name}-{key.public_key().public_numbers().x:x}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_private(file, private + _pem(made.sign(self.key, hashes.SHA256())))
        return file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime.timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - OpenSSL goes by the real clock
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + until)
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class Door:
    """A broker as hosts reach it that show certificates."""

    world: BrokerWorld
    url: str
    authority: HostAuthority

    async def ask(self, certificate: Path | None, method: str, path: str, **more: Any) -> Any:
        """Ask with a certificate, or without; return status and body, or raise as the client does."""
        async with self.session(certificate) as session:
            return await asked(session, method, self.url + path, **more)

    def session(self, certificate: Path | None) -> aiohttp.ClientSession:
        """Return a client that shows this certificate to whoever asks for one."""
        trust = ssl.create_default_context(cafile=str(self.world.authority.ca_file))
        if certificate is not None:
            trust.load_cert_chain(certificate)
        return aiohttp.ClientSession(connector=Connector(trust))


async def asked(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> Any:
    """Return status and body."""
    async with session.request(method, url, **more) as answer:
        return answer.status, await answer.json()


@pytest.fixture
async def door(broker_world: BrokerWorld) -> Door:
    """A broker that takes certificates of one authority."""
    authority = HostAuthority(broker_world.folder)
    hosts = {"ca_file": str(authority.ca_file), "names": ["lx*.example.org"],
             "groups": {"lx": ["LX*.example.org"]}}  # fmt: skip
    broker = await broker_world.replica(more={"hosts": hosts})
    settings = load(broker_world.folder / "config-one")
    assert broker.runner is not None
    tls = server_tls(settings.listen, settings.hosts)
    site = web.TCPSite(broker.runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    url = f"https://127.0.0.1:{broker.runner.addresses[-1][1]}"
    return Door(broker_world, url, authority)


async def test_a_listed_host_is_known_by_its_certificate(door: Door) -> None:
    """By the first of its names that is listed; its session opens its deliveries."""
    file = door.authority.issue(ALIAS, "*.example.org", LISTED, "lx2.example.org")
    status, session = await door.ask(file, "POST", deliveries.HOST_SESSIONS)
    assert (status, session["host"], session["groups"]) == (201, LISTED, ["lx"])
    shown = {"Authorization": f"Bearer {session['host_token']}"}
    assert (await door.ask(None, "GET", deliveries.DELIVERIES, headers=shown))[0] == 200
    lines = [one for one in door.world.audit_lines() if one["event"] == "host_session"]
    assert [(one["host"], one["proof"]) for one in lines] == [(LISTED, "certificate")]


async def test_who_shows_no_certificate_is_served_as_ever(door: Door) -> None:
    """A person logs in and gets a token at the same port; only as a host nobody is known so."""
    people = Asked(door.url, door.world)
    assert (await people.token(await people.log_in())).status == 200
    status, problem = await door.ask(None, "POST", deliveries.HOST_SESSIONS)
    assert (status, problem["error"]) == (403, "not_allowed")


async def test_a_host_with_a_certificate_may_ask_for_all_else_too(door: Door) -> None:
    """A certificate is no login: a lease is what opens tokens, and the host alone opens none."""
    file = door.authority.issue(LISTED)
    assert (await door.ask(file, "GET", native.ISSUERS))[0] == 200
    status, problem = await door.ask(file, "POST", native.TOKENS, json={})
    assert (status, problem["error"]) == (401, "lease_unknown")


@pytest.mark.parametrize("names", [(), (ALIAS,), ("*.example.org",), ("a.lx1.example.org",)])
async def test_a_certificate_for_another_name_opens_nothing(
    door: Door, names: tuple[str, ...]
) -> None:
    """Although the authority has signed it; what stands as its common name is not looked at."""
    status, problem = await door.ask(door.authority.issue(*names), "POST", deliveries.HOST_SESSIONS)
    assert (status, problem["error"]) == (403, "not_allowed")


@pytest.mark.parametrize("why", ["other authority", "ran out", "for servers alone"])
async def test_a_certificate_that_does_not_hold_is_refused_by_tls(door: Door, why: str) -> None:
    """No request of such a connection is answered at all."""
    file = {
        "other authority": lambda: HostAuthority(door.world.folder, "others").issue(LISTED),
        "ran out": lambda: door.authority.issue(LISTED, until=-DAY / 2),
        "for servers alone": lambda: door.authority.issue(LISTED, use=ExtendedKeyUsageOID.SERVER_AUTH),
    }[why]()  # fmt: skip
    with pytest.raises(aiohttp.ClientError):
        await door.ask(file, "POST", deliveries.HOST_SESSIONS)


async def test_a_connection_outlives_no_certificate(door: Door) -> None:
    """One that was opened while it held opens no session later, and no session is longer."""
    file = door.authority.issue(LISTED, until=datetime.timedelta(minutes=30))
    async with door.session(file) as session:
        url = door.url + deliveries.HOST_SESSIONS
        _, opened = await asked(session, "POST", url)
        ends_at = datetime.datetime.fromisoformat(opened["ends_at"])
        left = (ends_at - door.world.clock.now()).total_seconds()
        assert 0 < left <= 1800
        door.world.clock.leap(1801)
        status, problem = await asked(session, "POST", url)
        assert (status, problem["error"]) == (403, "not_allowed")
    shown = {"Authorization": f"Bearer {opened['host_token']}"}
    _, problem = await door.ask(None, "GET", deliveries.DELIVERIES, headers=shown)
    assert problem["error"] == "lease_ended"
