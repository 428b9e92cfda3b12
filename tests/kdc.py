"""A real MIT KDC on loopback, for tests: realm, principals, keytabs, tickets, and tokens of clients.

Programs are started with an environment of their own; `config` is what a process of the test must
name in KRB5_CONFIG while it makes tokens.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credbroker.demo.ports import free_port
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REALM = "TEST.LOCAL"
SERVICE = "host/broker.test"
SPNEGO = "1.3.6.1.5.5.2"
_PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_START_SECONDS = 5.0
_CLIENT = """\
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
"""
_SERVER = """\
[kdcdefaults]
 kdc_listen = ""
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
 }}
"""


def missing() -> str:
    """Say what a KDC and its clients lack on this machine; empty if nothing."""
    lacking = [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]
    try:
        import gssapi  # noqa: F401
    except ImportError:
        lacking.append("the Python package gssapi")
    return f"needs {', '.join(lacking)} (krb5-kdc, krb5-user)" if lacking else ""


@dataclass(frozen=True)
class Kdc:
    """A KDC that answers, and the folder where everything of it lies."""

    folder: Path
    env: Mapping[str, str]

    @property
    def config(self) -> Path:
        """The clients' settings."""
        return self.folder / "krb5.conf"

    def add_service(self, keytab: str, service: str = SERVICE) -> Path:
        """Make new random keys for a service, and a keytab that holds these alone."""
        file = self.folder / keytab
        file.unlink(missing_ok=True)
        with contextlib.suppress(subprocess.CalledProcessError):
            self._administer(f"addprinc -randkey {service}")
        self._administer(f"ktadd -k {file} {service}")
        return file

    def add_person(self, principal: str) -> Path:
        """Add a principal and log it in; return its tickets."""
        tickets = self._file(principal, "tickets")
        self._administer(f"addprinc -randkey {principal}")
        self._administer(f"ktadd -k {self._file(principal, 'keytab')} {principal}")
        self.log_in(principal, f"FILE:{tickets}")
        return tickets

    def log_in(self, principal: str, cache: str) -> None:
        """Log a known principal in; `cache` gets its tickets, and in a collection it is current then."""
        keytab = str(self._file(principal, "keytab"))
        self._run("kinit", "-k", "-t", keytab, principal, KRB5CCNAME=cache)

    def token(
        self, tickets: Path, service: str = SERVICE, mechanism: str = "1.2.840.113554.1.2.2"
    ) -> bytes:
        """Return a client's first GSS token, as htgettoken makes it unless told to wrap it.

        KRB5_CONFIG must name `config` meanwhile.
        """
        from gssapi import OID, Credentials, Name, NameType, SecurityContext

        token: bytes | None = SecurityContext(
            name=Name(f"{service}@{REALM}", NameType.kerberos_principal),
            creds=Credentials(usage="initiate", store={"ccache": f"FILE:{tickets}"}),
            mech=OID.from_int_seq(mechanism),
            usage="initiate",
        ).step()
        assert token is not None
        return token

    def _administer(self, command: str) -> None:
        self._run("kadmin.local", "-q", command)

    def _file(self, principal: str, kind: str) -> Path:
        return self.folder / f"{principal.replace('/', '-')}.{kind}"

    def _run(self, *words: str, **more: str) -> None:
        env = {**self.env, **more}
        subprocess.run(words, env=env, check=True, capture_output=True, timeout=20)


@contextlib.contextmanager
def running_kdc(folder: Path) -> Iterator[Kdc]:
    """Run a KDC below `folder` for as long as the block lasts."""
    port = free_port(SystemEntropy())
    for name, text in (("krb5.conf", _CLIENT), ("kdc.conf", _SERVER)):
        (folder / name).write_text(text.format(realm=REALM, port=port, folder=folder))
    env = {
        "PATH": _PATH,
        "KRB5_CONFIG": str(folder / "krb5.conf"),
        "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
    }
    kdc = Kdc(folder, env)
    kdc._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "of-the-test")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["krb5kdc", "-n"], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        _await(port)
        yield kdc
    finally:
        server.terminate()
        server.wait(10)


def _await(port: int) -> None:
    until = time.monotonic() + _START_SECONDS  # noqa: TID251 - a real program is waited for
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < until, "the KDC does not answer"  # noqa: TID251
            time.sleep(0.01)  # noqa: TID251
        else:
            return
