"""However a client puts an issuer's address together, it finds what it looks for."""

from __future__ import annotations

from credbroker.api.issuer_paths import metadata_paths, spellings

DEEP = "https://tokens.example.org:8200/vo/dteam/"
ROOT = "https://tokens.example.org/"


def test_a_path_is_found_with_and_without_a_slash_too_many() -> None:
    """Harvester adds `/token` to the issuer as it is written, slash and all."""
    assert spellings(DEEP, "token") == ["/vo/dteam/token", "/vo/dteam//token", "/vo/dteam/token/"]
    assert spellings(ROOT, "token") == ["/token", "//token", "/token/"]


def test_metadata_are_found_below_the_issuer_and_above_it() -> None:
    """OpenID's way, and that of RFC 8414 section 3.1, which puts the well-known part first."""
    paths = metadata_paths(DEEP)
    assert "/vo/dteam/.well-known/openid-configuration" in paths
    assert "/vo/dteam//.well-known/oauth-authorization-server" in paths
    assert "/.well-known/oauth-authorization-server/vo/dteam" in paths
    assert "/.well-known/openid-configuration/vo/dteam/" in paths


def test_no_path_stands_twice() -> None:
    """At the root both ways are the same."""
    for url in (DEEP, ROOT):
        assert len(set(metadata_paths(url))) == len(metadata_paths(url))
        assert all(path.startswith("/") for path in metadata_paths(url))
