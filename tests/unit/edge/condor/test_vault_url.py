"""Where a stored address may send root."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.edge.condor.vault_url import TrustedHost, read_vault_url

PATH = "/v1/secret/oauth/creds/cms/alice:default"
TRUSTED = [
    TrustedHost.read(one) for one in ("vault.example.org", "other.example.org:9443", "[::1]")
]

REFUSED = {
    "http": f"http://vault.example.org:8200{PATH}",
    "another host": f"https://evil.example.org:8200{PATH}",
    "another port": f"https://vault.example.org:443{PATH}",
    "no port": f"https://vault.example.org{PATH}",
    "a port of another host": f"https://vault.example.org:9443{PATH}",
    "the usual port of a host with its own": f"https://other.example.org:8200{PATH}",
    "user info": f"https://vault.example.org:8200@evil.example.org:8200{PATH}",
    "empty user info": f"https://@vault.example.org:8200{PATH}",
    "a backslash": f"https://evil.example.org\\@vault.example.org:8200{PATH}",
    "a fragment": f"https://evil.example.org:8200#@vault.example.org:8200{PATH}",
    "an address that is not listed": f"https://127.0.0.1:8200{PATH}",
    "a number as address": f"https://2130706433:8200{PATH}",
    "an IPv4 address in IPv6": f"https://[::ffff:127.0.0.1]:8200{PATH}",
    "the link's own": f"https://169.254.169.254:8200{PATH}",
    "IPv6 with a zone": f"https://[fe80::1%25eth0]:8200{PATH}",
    "no host": f"https://:8200{PATH}",
    "no path": "https://vault.example.org:8200",
    "a path elsewhere": "https://vault.example.org:8200/ui/",
    "only the version": "https://vault.example.org:8200/v1",
    "a longer version": "https://vault.example.org:8200/v10/x",
    "a path that climbs": "https://vault.example.org:8200/v1/../ui",
    "a path that climbs in disguise": "https://vault.example.org:8200/v1/%2e%2E/ui",
    "a line end": f"https://vault.example.org:8200{PATH}\r\nX-Vault-Token: x",
    "a file": "file:///etc/passwd",
    "no address": "vault.example.org",
    "nothing": "",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_user_points_the_credmon_at_no_server_of_their_choice(text: str) -> None:
    """Each of these is refused in words that do not repeat more than the host."""
    with pytest.raises(Malformed, match="Its vault_url") as refused:
        read_vault_url(text, TRUSTED)
    assert len(refused.value.sentence) < 200


@pytest.mark.parametrize(
    "entry",
    ["vault.example.org", "vault.example.org:8200", "VAULT.example.org", "vault.example.org."],
)
def test_a_host_is_trusted_in_each_of_its_spellings(entry: str) -> None:
    """The credd compares with the port, people write it without; both are meant."""
    place = read_vault_url(f"https://Vault.Example.org:8200{PATH}?x=1", [TrustedHost.read(entry)])
    assert str(place.address) == "https://vault.example.org:8200"
    assert place.path == PATH


@pytest.mark.parametrize("entry", ["::1", "[::1]", "[::1]:8200", "[0:0:0:0:0:0:0:1]:8200"])
def test_an_ipv6_address_is_trusted_in_each_of_its_spellings(entry: str) -> None:
    """As text they all differ."""
    place = read_vault_url(f"https://[::0:1]:8200{PATH}", [TrustedHost.read(entry)])
    assert place.address.host in {"::1", "::0:1"}


def test_without_a_list_any_host_will_do_on_the_one_port() -> None:
    """As the credd takes it where TRUSTED_VAULT_HOSTS is unset."""
    read_vault_url(f"https://anywhere.example.net:8200{PATH}", None)
    with pytest.raises(Malformed):
        read_vault_url(f"https://anywhere.example.net:443{PATH}", None)


def test_a_port_that_the_operator_wrote_is_taken() -> None:
    """A list entry with a port means that port."""
    assert read_vault_url(f"https://other.example.org:9443{PATH}", TRUSTED).address.port == 9443


def test_what_a_path_may_hold_goes_out_as_it_is() -> None:
    """Names of people and robots have `@`, `:`, `/` and blanks in them."""
    place = read_vault_url("https://[::1]:8200/v1/s/creds/i/a@b/c d:r", TRUSTED)
    assert place.path == "/v1/s/creds/i/a@b/c%20d:r"


@given(st.text(max_size=80))
def test_no_text_is_more_than_refused(text: str) -> None:
    """Whatever was stored, the answer is a place that is trusted or `Malformed`."""
    for url in (text, f"https://{text}:8200{PATH}", f"https://vault.example.org:8200/v1/{text}"):
        try:
            place = read_vault_url(url, TRUSTED)
        except Malformed:
            continue
        assert place.address.host in {"vault.example.org", "other.example.org", "::1"}
        assert place.path.startswith("/v1/")
        assert place.path.isascii()
        assert " " not in place.path


@pytest.mark.parametrize(
    ("path", "issuer"),
    [
        ("/v1/secret/oauth/creds/cms/alice:default", "cms"),
        ("/v1/secret/oauth/sts/dune/alice/robot:production", "dune"),
        ("/v1/secret/oauth-atlas/creds/alice:default", "oauth-atlas"),
        ("/v1/else/where", "else"),
        ("/v1/x", ""),
    ],
)
def test_the_issuer_is_known_by_its_path(path: str, issuer: str) -> None:
    """One HTVault stands before many issuers, and one of them may hang."""
    assert read_vault_url(f"https://vault.example.org:8200{path}", None).issuer == issuer
