"""An access point's settings, as the page for access points shows them and with any of them unset."""

from __future__ import annotations

from pathlib import Path

import pytest

from credbroker.domain.errors import BadSettings
from credbroker.edge.condor.names import Kind
from credbroker.edge.condor.settings import read_settings

FOLDER = "/var/lib/condor/oauth_credentials"
ALL_SET = {
    "SEC_CREDENTIAL_DIRECTORY_OAUTH": FOLDER,
    "CREDMON_OAUTH_LOG": "/var/log/condor/CredMonOAuthLog",
    "LOG": "/var/log/condor",
    "CREDMON_OAUTH_TOKEN_MINIMUM": "3000",
    "CREDMON_OAUTH_TOKEN_REFRESH": "900",
    "TRUSTED_VAULT_HOSTS": "vault.example.org:8200, broker.example.org",
    "VAULT_CREDMON_PROVIDER_NAMES": "cms, dune",
    "LOCAL_CREDMON_PROVIDER_NAMES": "ap",
    "LOCAL_CREDMON_PROVIDER_NAME": "ap",
    "OAUTH2_CREDMON_PROVIDER_NAMES": "box",
    "CLIENT_CREDMON_PROVIDER_NAMES": "svc",
    "PELICAN_CREDMON_PROVIDER_NAMES": "osdf",
    "BOX_CLIENT_ID": "x",
    "CREDMON_ALLOW_SPECIAL_CHAR_NAMES": "False",
    "AUTH_SSL_CLIENT_CAFILE": "/etc/ca.pem",
    "AUTH_SSL_CLIENT_CADIR": "/etc/ca.d",
    "LOCAL_CREDMON_LEASE_FILE": "/etc/credbroker/ap.json",
    "LOCAL_CREDMON_AUTHZ_TEMPLATE": "storage.read:/home/{username}",
    "LOCAL_CREDMON_TOKEN_AUDIENCE": "https://a, https://b",
    "LOCAL_CREDMON_TOKEN_USE_JSON": "False",
}


def test_every_setting_has_its_meaning() -> None:
    """Names, meanings and defaults are HTCondor's own."""
    read = read_settings(ALL_SET, name="CREDMON_OAUTH")
    assert read.folder == Path(FOLDER)
    assert read.log_file == Path("/var/log/condor/CredMonOAuthLog")
    assert (read.minimum_seconds, read.refresh_seconds) == (3000, 900)
    assert read.claims.kind("dune_x") is Kind.VAULT
    assert read.claims.kind("ap") is Kind.LOCAL
    assert read.claims.kind("box") is None
    assert read.trusted_hosts is not None
    assert len(read.trusted_hosts) == 2
    assert (read.ca_file, read.ca_folder) == (Path("/etc/ca.pem"), Path("/etc/ca.d"))
    assert read.local is not None
    assert read.local.audiences == ("https://a", "https://b")
    assert not read.local.as_json


@pytest.mark.parametrize("unset", sorted(ALL_SET))
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_it_starts_with_each_option_unset(unset: str, how: str) -> None:
    """Nothing but the folder must be set, and an unset list claims no foreign name."""
    said = {name: value for name, value in ALL_SET.items() if name != unset}
    if how == "empty":
        said[unset] = "  "
    if unset == "SEC_CREDENTIAL_DIRECTORY_OAUTH":
        with pytest.raises(BadSettings, match="where HTCondor's folder"):
            read_settings(said, name="CREDMON_OAUTH")
        said[unset] = FOLDER
    read = read_settings(said, name="CREDMON_OAUTH")
    if unset == "VAULT_CREDMON_PROVIDER_NAMES":
        assert read.claims.kind("anything") is Kind.VAULT
    for foreign in ("box", "svc", "osdf"):
        listed = foreign in said.get("VAULT_CREDMON_PROVIDER_NAMES", foreign)
        if unset not in {"CLIENT_CREDMON_PROVIDER_NAMES", "PELICAN_CREDMON_PROVIDER_NAMES"}:
            assert read.claims.kind(foreign) is None or not listed


def test_with_only_the_folder_set_the_defaults_are_the_stock_ones() -> None:
    """2400 s at least, renewed at 1200 s; scitokens is left alone; nothing is local."""
    read = read_settings({"SEC_CREDENTIAL_DIRECTORY_OAUTH": FOLDER}, name="CREDMON_OAUTH")
    assert (read.minimum_seconds, read.refresh_seconds) == (2400, 1200)
    assert read.claims.kind("cms_ro") is Kind.VAULT
    assert read.claims.kind("scitokens") is None
    assert read.trusted_hosts is None
    assert read.log_file is None
    assert read.local is None


def test_the_command_line_outweighs_and_limits() -> None:
    """The log has the daemon's name in HTCondor's settings, or in the folder of logs."""
    read = read_settings(ALL_SET, name="MINE", folder=Path("/od"), only=frozenset({"dune"}))
    assert read.folder == Path("/od")
    assert read.log_file == Path("/var/log/condor/MineLog")
    assert read.claims.kind("cms") is None
    named = read_settings(ALL_SET, name="CREDMON_OAUTH", log_file=Path("/log"))
    assert named.log_file == Path("/log")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CREDMON_OAUTH_TOKEN_MINIMUM", "40 minutes"),
        ("CREDMON_OAUTH_TOKEN_REFRESH", "0"),
        ("CREDMON_ALLOW_SPECIAL_CHAR_NAMES", "perhaps"),
        ("VAULT_CREDMON_PROVIDER_NAMES", "dune_production"),
        ("SEC_CREDENTIAL_DIRECTORY_OAUTH", "relative/path"),
    ],
)
def test_a_setting_that_means_nothing_is_named(setting: str, value: str) -> None:
    """A typo must not become a default."""
    with pytest.raises(BadSettings, match=setting):
        read_settings({**ALL_SET, setting: value}, name="CREDMON_OAUTH")
