"""What a storage says of a token, in the profile's words and in those of XRootD 5."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.attenuation import ANY_AUDIENCE
from credbroker.domain.errors import Malformed
from credbroker.domain.scopes import ScopeSet, parse_item, path_covers
from credbroker.domain.storage_verdict import (
    DEEDS,
    Dialect,
    Storage,
    Verdict,
    meaning,
    storage_at,
    verdict,
)
from tests.interop.storage_cases import OURS, cases
from tests.unit import things

SE = Storage(("https://se.test",))
XROOTD = Storage(("https://se.test",), dialect=Dialect.XROOTD_5)


def judged(scope: str, deed: str, path: str = "/d/f", storage: Storage = SE) -> Verdict:
    """Return the verdict on a deed at a path under a token with these scopes."""
    token = things.access_token(scope)
    return verdict(token, deed, f"https://se.test{path}", storage, things.NOON)


@pytest.mark.parametrize(
    ("scope", "by_profile", "by_xrootd"),
    [
        ("storage.read:/d", "read stat", "read stat"),
        ("storage.create:/d", "write create stat", "write create"),
        (
            "storage.modify:/d",
            "write create modify delete stat",
            "write create modify",
        ),
        ("storage.stage:/d", "stat stage poll", ""),
        ("storage.poll:/d", "poll", ""),
        ("compute.modify", "", ""),
    ],
)
def test_each_scope_allows_what_the_profile_says_or_less_at_xrootd(
    scope: str, by_profile: str, by_xrootd: str
) -> None:
    """WLCG profile 1.3, section "Scope-based"; XRootD 5.5 as it was measured."""
    for storage, expected in ((SE, by_profile), (XROOTD, by_xrootd)):
        allowed = [deed for deed in DEEDS if judged(scope, deed, storage=storage).allowed]
        assert allowed == expected.split()


@pytest.mark.parametrize(
    ("scopes", "scheme", "allowed"),
    [
        ("storage.modify:/d", "https", False),
        ("storage.modify:/d", "davs", False),
        ("storage.modify:/d", "root", True),
        ("storage.modify:/d storage.read:/other", "https", False),
        ("storage.modify:/d storage.read:/d", "https", True),
        ("storage.read:/d", "https", False),
    ],
)
def test_xrootd_deletes_over_http_only_what_the_token_lets_it_see(
    scopes: str, scheme: str, allowed: bool
) -> None:
    """As XRootD 5.5.3 was measured; by the profile modifying is enough."""
    url, token = f"{scheme}://se.test/d/f", things.access_token(scopes)
    found = verdict(token, "delete", url, XROOTD, things.NOON)
    assert found.allowed is allowed
    if not allowed and "modify:/d" in scopes:
        assert "without storage.read as well" in found.why
        assert "--scope storage.read:/d/f beside" in found.remedy
    assert verdict(token, "delete", url, SE, things.NOON).allowed is ("modify" in scopes)


@pytest.mark.parametrize(
    ("scope_path", "path", "by_profile", "by_xrootd"),
    [
        ("/prot", "/protected/f1", False, True),
        ("/prot/", "/protected/f1", False, True),
        ("/prot/", "/prot", False, True),
        ("/prot/", "/prot/f1", True, True),
        ("/", "/any", True, True),
        ("/a/b", "/a", False, False),
        ("/A", "/a", False, False),
    ],
)
def test_paths_are_compared_by_whole_names_except_at_xrootd(
    scope_path: str, path: str, by_profile: bool, by_xrootd: bool
) -> None:
    """Where the two differ the words say so."""
    scope = f"storage.read:{scope_path}"
    strict, loose = judged(scope, "read", path), judged(scope, "read", path, XROOTD)
    assert (strict.allowed, loose.allowed) == (by_profile, by_xrootd)
    assert ("as texts" in loose.why) is (by_profile is not by_xrootd)
    assert by_profile or strict.remedy == f"Ask for --scope storage.read:{path}"


@pytest.mark.parametrize(
    ("changes", "storage", "word"),
    [
        ({"expires_at": things.NOON}, SE, "expired"),
        ({"not_before": things.NOON + things.seconds(61)}, SE, "not valid yet"),
        ({"not_before": things.NOON + things.seconds(1)}, XROOTD, "not valid yet"),
        ({"version": "2.0"}, SE, "wlcg.ver"),
        ({"version": "1.3"}, XROOTD, "wlcg.ver"),
        ({"audiences": ("https://se.test/",)}, SE, "is for https://se.test/,"),
        ({"audiences": ()}, SE, "is for nobody"),
        ({"audiences": (ANY_AUDIENCE,)}, XROOTD, "goes by https://se.test"),
        ({}, Storage(SE.audiences, issuer="https://other.test/"), "believes https://other"),
        ({}, Storage(SE.audiences, issuer="https://issuer.test"), "final slash"),
        ({}, Storage(SE.audiences, base_path="/wlcg"), "outside /wlcg"),
    ],
)
def test_a_token_that_counts_for_nothing_there_is_refused_with_the_reason(
    changes: dict[str, object], storage: Storage, word: str
) -> None:
    """Whatever its scopes say."""
    token = things.access_token("storage.read:/", **changes)
    found = verdict(token, "read", "https://se.test/d/f", storage, things.NOON)
    assert not found.allowed
    assert word in found.why


def test_a_wildcard_a_minor_version_and_a_minute_of_clock_are_no_matter_to_the_profile() -> None:
    """What a storage must or may accept."""
    token = things.access_token(
        audiences=(ANY_AUDIENCE,), version="1.3", not_before=things.NOON + things.seconds(60)
    )
    assert verdict(token, "read", "https://se.test/f", SE, things.NOON).allowed


def test_paths_are_taken_below_the_issuers_area() -> None:
    """A scope's / is the base path there."""
    storage = Storage(SE.audiences, base_path="/wlcg")
    assert judged("storage.read:/d", "read", "/wlcg/d/f", storage).allowed
    assert not judged("storage.read:/wlcg/d", "read", "/wlcg/d/f", storage).allowed
    assert judged("storage.read:/", "stat", "/wlcg", storage).allowed


@pytest.mark.parametrize(
    ("scope", "deed", "storage", "words"),
    [
        ("storage.create:/d", "write", SE, "can not be replaced"),
        ("storage.create:/d storage.modify:/d", "write", SE, "allows it."),
        ("storage.create:/d", "create", XROOTD, "also needs storage.read:/d/f"),
        ("storage.create:/d storage.read:/d", "create", XROOTD, "allows it."),
        ("storage.poll:/d", "poll", SE, "also needs storage.read:/d/f"),
        ("compute.read", "read", SE, "no storage.read."),
        ("storage.read:/d/f/", "read", SE, "not about a file"),
        ("storage.read:/d/f/", "stage", XROOTD, "No scope lets anybody stage"),
        ("wlcg.groups", "write", SE, "no storage.create or storage.modify"),
    ],
)
def test_the_words_say_what_a_person_has_to_know(
    scope: str, deed: str, storage: Storage, words: str
) -> None:
    """Also where the answer is yes."""
    assert words in judged(scope, deed, storage=storage).why


def test_groups_alone_are_the_storages_business() -> None:
    """No scope says what they may do."""
    token = things.access_token("wlcg.groups", groups=("/cms",))
    found = verdict(token, "read", "https://se.test/d", SE, things.NOON)
    assert not found.allowed
    assert "groups" in found.why


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("https://SE.test/f", ("https://se.test", "se.test")),
        ("davs://se.test:443/f", ("https://se.test", "se.test")),
        ("https://se.test:8443/f", ("https://se.test:8443", "se.test")),
        ("root://se.test:1094//f", ("https://se.test", "root://se.test", "se.test")),
        ("https://[2001:DB8::1]:8443/f", ("https://[2001:db8::1]:8443", "[2001:db8::1]")),
    ],
)
def test_a_storage_of_which_only_a_url_is_known_goes_by_its_hosts_names(
    url: str, names: tuple[str, ...]
) -> None:
    """In the profile's form, without a usual port, and bare."""
    assert storage_at(url).audiences == names


@pytest.mark.parametrize(
    "url",
    ["/d/f", "https://se.test", "https://se.test:port/f", "https://se.test/a/../b", "https://[/f"],
)
def test_what_is_no_url_of_a_file_is_refused(url: str) -> None:
    """Nothing is mended: some storage would read another path."""
    with pytest.raises(Malformed):
        verdict(things.access_token(), "read", url, SE, things.NOON)


def test_an_unknown_deed_is_refused_with_the_list() -> None:
    """Nobody guesses."""
    with pytest.raises(Malformed, match="one of read, write"):
        judged("storage.read:/", "list")


def test_every_scope_is_told_in_words() -> None:
    """With where it holds."""
    assert meaning(parse_item("storage.read:/")).endswith("everywhere in the issuer's area")
    assert meaning(parse_item("storage.read:/d/")).endswith("below /d/")
    assert meaning(parse_item("storage.poll:/d")).endswith("/d and what is below it")
    assert meaning(parse_item("compute.read")) == "see jobs"
    assert "does not know" in meaning(parse_item("fts"))


@given(things.scope_sets, st.sampled_from(sorted(DEEDS)), things.paths())
def test_xrootd_refuses_or_the_path_is_the_reason_when_the_profile_refuses(
    scopes: ScopeSet, deed: str, path: str
) -> None:
    """The only way in which XRootD 5 allows more is its comparison of texts."""
    loose = judged(str(scopes), deed, path, XROOTD)
    if loose.allowed and not judged(str(scopes), deed, path).allowed:
        assert not any(
            item.name in DEEDS[deed][Dialect.PROFILE] and path_covers(item.path or "", path)
            for item in scopes
        )


def test_the_cases_for_a_real_storage_hold_both_answers() -> None:
    """They are the same in every run, and where the dialects differ is among them."""
    assert cases() == cases()
    strict = loose = both = 0
    for case in cases():
        token = things.access_token(
            " ".join(case.scopes),
            audiences=case.audiences,
            not_before=things.NOON + things.seconds(case.starts_in),
            expires_at=things.NOON + things.seconds(case.ends_in),
        )
        url = f"https://se.test/wlcg{case.path}"
        answers = [
            verdict(
                token,
                case.deed,
                url,
                Storage((OURS, ANY_AUDIENCE), base_path="/wlcg", dialect=dialect),
                things.NOON,
            ).allowed
            for dialect in Dialect
        ]
        strict, loose, both = (
            strict + (answers == [True, False]),
            loose + (answers == [False, True]),
            both + (answers == [True, True]),
        )
    assert loose >= 5
    assert 50 <= both <= 150
