"""Where things are: addresses as htgettoken reads them, and the person's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from credbroker.cli.htgettoken import options as words_of
from credbroker.cli.htgettoken.options import Options, parse
from credbroker.cli.htgettoken.places import (
    files_of,
    option_page,
    reach,
    server_of,
    service_of,
    session_vault_file,
    url_of,
)
from credbroker.domain.errors import LocalFileUnfit, Malformed
from tests.fakes.step_clock import StepClock


def said(*words: str) -> Options:
    """Return what these words ask for."""
    return parse(words, {}, lambda _: "")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("h.example.org", "https://h.example.org:8200"),
        ("h:1", "https://h:1"),
        ("https://h", "https://h:8200"),
        ("http://h/x", "https://h:8200"),
        ("https://h:443/", "https://h:443"),
        ("[::1]", "https://[::1]:8200"),
        ("[::1]:1", "https://[::1]:1"),
    ],
)
def test_a_server_is_asked_with_tls_at_its_port(typed: str, url: str) -> None:
    """Whatever the scheme; the port is always in the address that is shown."""
    assert url_of(server_of(said("-a", typed))) == url


def test_a_service_has_an_address_of_its_own() -> None:
    """It is the server's unless it is said."""
    assert url_of(service_of(said("-a", "one"))) == "https://one:8200"
    assert url_of(service_of(said("-a", "one", "--vaultalias=all"))) == "https://all:8200"


@pytest.mark.parametrize("typed", ["", "https://", "user@h", "h:x", "a b"])
def test_what_is_no_server_is_told(typed: str) -> None:
    """Before anybody is asked."""
    with pytest.raises(Malformed):
        server_of(said("-a", typed))


@pytest.mark.parametrize(
    ("typed", "url", "target"),
    [
        ("h", "https://h:443", "/htgettokenopts.txt"),
        ("https://h:8443/dir/opts", "https://h:8443", "/dir/opts"),
        ("https://h", "https://h:443", "/"),
    ],
)
def test_an_option_server_has_its_page(typed: str, url: str, target: str) -> None:
    """At the usual port of https."""
    page = option_page(said("-a", "x", "-s", typed))
    assert (url_of(page.address), page.target) == (url, target)


def test_files_are_where_htgettoken_has_them() -> None:
    """By default, and with number and home filled in."""
    home = {"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/7"}
    files = files_of(said("-a", "x", "-i", "cms"), home, 7)
    assert (files.vault, files.vault_in, files.bearer) == (
        "/tmp/vt_u7",
        "/tmp/vt_u7",
        "/run/7/bt_u7",
    )
    assert files.credkey == Path("/home/ada/.config/htgettoken/credkey-cms-default")
    words = ("--vaulttokenfile=~/v-%uid", "-o", "~/b%uid", "--vaulttokeninfile=%vaulttokenfile.in")
    files = files_of(said("-a", "x", *words), home, 7)
    assert (files.vault, files.vault_in) == ("/home/ada/v-7", "/home/ada/v-7.in")
    assert files.bearer == "~/b7"


def test_a_lasting_vault_token_goes_to_a_stream_alone() -> None:
    """By default to standard output, which is then not read from."""
    files = files_of(said("-a", "x", "--vaulttokenttl=28d"), {}, 7)
    assert (files.vault, files.vault_in, files.is_handed_over) == ("/dev/stdout", None, False)
    with pytest.raises(Malformed, match="million seconds"):
        files_of(said("-a", "x", "--vaulttokenttl=28d", "--vaulttokenfile=/x"), {}, 7)
    handed = files_of(said("-a", "x", "--vaulttokeninfile=/dev/fd/3"), {}, 7)
    assert (handed.vault_in, handed.is_handed_over) == ("/dev/fd/3", True)


def test_sessions_begun_alike_share_a_vault_token() -> None:
    """In the file that httokensh has for them."""
    assert session_vault_file("-a h", 7) == "/tmp/vt_u7.sh-ef0e6bbe81215351614b3d3c2d307abf"


def test_authorities_are_those_that_are_named(tmp_path: Path) -> None:
    """File and folder together; a name for the certificate is the server's, not the option server's."""
    options = said("-a", "x", "--vaultcertname=y", "--cafile=/ca", f"--capath={tmp_path}")
    door = reach(server_of(options), StepClock(), options, {}).__self__  # type: ignore[attr-defined] # a Door's
    assert (door.ca_file, door.ca_folder, door.certificate_name) == ("/ca", str(tmp_path), "y")
    plain = said("-a", "x")
    environ = {"X509_CERT_DIR": str(tmp_path), "CREDBROKER_CA_FILE": "/ours"}
    door = reach(server_of(said("-a", "z")), StepClock(), plain, environ).__self__  # type: ignore[attr-defined] # a Door's
    assert (door.ca_file, door.ca_folder, door.certificate_name) == ("/ours", str(tmp_path), None)


def test_the_option_server_may_be_all_that_is_said() -> None:
    """It names the server then."""
    options = words_of._parse(["-s", "h"])
    reach(option_page(options).address, StepClock(), options, {})


@pytest.mark.parametrize("typed", ["https://h/a b", "https://h/é", "https://h/a\nb"])
def test_a_page_that_cannot_be_asked_for_is_told(typed: str) -> None:
    """In a sentence."""
    with pytest.raises(Malformed):
        option_page(said("-a", "x", "-s", typed))


def test_a_folder_of_authorities_that_is_typed_must_be_one(tmp_path: Path) -> None:
    """Else it would be left out without a word."""
    options = said("-a", "h", f"--capath={tmp_path}/missing")
    with pytest.raises(LocalFileUnfit, match="missing"):
        reach(server_of(options), StepClock(), options, {})
