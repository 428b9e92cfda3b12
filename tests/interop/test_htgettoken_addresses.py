"""The unmodified client at addresses other than a name with an IPv4 address.

It connects to an address whatever it was told, and names no server in TLS; an address in brackets it
cannot look up, so IPv6 is reached by a name.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.interop.htgettoken.client import Shell
from tests.interop.htgettoken.running import running
from tests.interop.htgettoken.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

pytest_plugins = ["tests.interop.htgettoken.fixtures"]
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

BROWSER = ("--nokerberos", "--nossh")
SILENT = ("-v", "--nooidc", "--nokerberos", "--nossh")
NAME = "ip6-localhost"


def addresses(name: str) -> set[str]:
    """Return what a name leads to on this machine."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, 0)}
    except OSError:
        return set()


@pytest.mark.skipif(
    addresses(NAME) != {"::1"}, reason=f"needs '::1 {NAME}' in /etc/hosts, as Debian has it"
)
def test_a_name_with_an_ipv6_address_does(
    tmp_path: Path, authority: Authority, openbao: OpenBaoServer, htgettoken: Path
) -> None:
    """For a login with its pages, and for reads; the certificate is another name's."""
    with running(Site(tmp_path, authority, openbao, address="::1")) as site:
        ada = Shell(site, "ada", htgettoken)
        ada.server = f"{NAME}:{site.port}"
        check_login_and_read(ada, site, "--vaultcertname=localhost")


def test_an_ipv4_address_does_and_one_in_brackets_does_not(
    tmp_path: Path, authority: Authority, openbao: OpenBaoServer, htgettoken: Path
) -> None:
    """The client looks up the brackets as a name, in vain: whoever has IPv6 alone needs one."""
    with running(Site(tmp_path, authority, openbao)) as site:
        ada = Shell(site, "ada", htgettoken)
        ada.server = f"[::1]:{site.port}"
        said = ada.log_in(*BROWSER)
        assert said.code == 1, said.all
        assert "gaierror" in said.all
        ada.server = f"127.0.0.1:{site.port}"
        check_login_and_read(ada, site)


def check_login_and_read(ada: Shell, site: Site, *more: str) -> None:
    """Log in by a page of the broker's, then read without one."""
    said = ada.log_in(*BROWSER, *more)
    assert said.code == 0, said.all
    assert ada.browsers[0].pages[0].url.startswith(f"{site.url}/login/")
    said = ada.run(*SILENT, "--scopes=compute.read", *more)
    assert said.code == 0, said.all
    assert ada.claims()["scope"] == "compute.read"
