"""Audiences are compared as text; a pattern speaks of one part of a host's name."""

from __future__ import annotations

import pytest

from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.audiences import allowing, allows, check_audience, check_pattern
from tests.unit.things import refusal


@pytest.mark.parametrize(
    ("entry", "audience", "allowed"),
    [
        ("https://se.example.org", "https://se.example.org", True),
        ("https://se.example.org", "https://se.example.org/", False),
        ("https://se.example.org", "https://SE.example.org", False),
        ("https://*.example.org", "https://se.example.org", True),
        ("https://*.example.org", "https://SE.example.org", False),
        ("https://*.example.org", "http://se.example.org", False),
        ("https://*.example.org", "https://se.example.org:8443", False),
        ("https://*.example.org", "https://se.example.org/", False),
        ("https://*.example.org", "https://a.b.example.org", False),
        ("https://*.example.org", "https://.example.org", False),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "https://se.example.org.evil.test", False),
        ("https://*.example.org", "https://evil.test/se.example.org", False),
        ("https://*.example.org", "https://user@se.example.org", False),
        ("https://se*.example.org:8443", "https://se7.example.org:8443", True),
        ("*.example.org", "se.example.org", True),
        ("*.example.org:9619", "ce.example.org:9619", True),
        ("*.example.org", "https://se.example.org", False),
        ("https://*.example.org", "https://*.example.org", True),
        ("https://*.example.org", ANY_AUDIENCE, False),
        ("https://*.cern.ch", ANY_AUDIENCE, False),
        (ANY_AUDIENCE, ANY_AUDIENCE, True),
        (ANY_AUDIENCE, "https://se.example.org", True),
    ],
)
def test_an_entry_allows_what_it_says(entry: str, audience: str, *, allowed: bool) -> None:
    """Nothing before or behind it, no other scheme, port, path or case."""
    assert allows(entry, audience) is allowed


def test_the_entry_that_allows_is_told() -> None:
    """For whoever asks why."""
    entries = ["https://other.test", "https://*.example.org"]
    assert allowing(entries, "https://se.example.org") == "https://*.example.org"
    assert allowing(entries, "https://se.example.com") is None


@pytest.mark.parametrize("audience", ["rucio", "condor://ce.example.org", "ce.example.org:9619"])
def test_an_audience_is_any_word(audience: str) -> None:
    """Services have names of many forms."""
    assert check_audience(audience) == audience
    assert check_pattern(audience) == audience


@pytest.mark.parametrize("audience", ["", "a b", "sé.example.org", 'a"b', "a" * 1025, "a\n"])
def test_what_cannot_be_an_audience_is_refused(audience: str) -> None:
    """Neither in a request nor in settings."""
    assert "printable ASCII" in refusal(lambda: check_audience(audience))
    assert "printable ASCII" in refusal(lambda: check_pattern(audience))


@pytest.mark.parametrize(
    "pattern", ["*", "https://*", "*.*", "https://se.*:8443", "se.example.o*g"]
)
def test_a_pattern_names_the_last_part_of_a_host(pattern: str) -> None:
    """A word such as `rucio` is an audience, too, and nobody means it by a star."""
    assert "last part" in refusal(lambda: check_pattern(pattern))


def test_a_pattern_that_no_host_can_fit_is_refused() -> None:
    """Hosts' names are in lower case there."""
    assert "lower case" in refusal(lambda: check_pattern("https://SE*.Example.org"))


def test_no_token_is_for_a_pattern() -> None:
    """What is made from it later would be held against that pattern."""
    assert "settings only" in refusal(lambda: check_audience("https://*.example.org"))


@pytest.mark.parametrize(
    "pattern", ["*://se.example.org", "https://se.example.org/*", "https://*:*"]
)
def test_a_star_stands_in_a_hosts_name_only(pattern: str) -> None:
    """Anything else would allow more than it seems to."""
    assert "host's name" in refusal(lambda: check_pattern(pattern))


@pytest.mark.parametrize("pattern", ["https://*.example.org", "se*.test:8443", "*.a.test"])
def test_patterns_of_hosts_are_taken(pattern: str) -> None:
    """With or without scheme and port."""
    assert check_pattern(pattern) == pattern
