"""A slip of spelling is found before anything is asked for; what is like a known spelling is hinted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import BrokerUnreachable, Malformed, OutsideCeiling
from credbroker.edge.storer.asked import parse
from credbroker.edge.storer.storages import Storage, check, hinting, read

if TYPE_CHECKING:
    from pathlib import Path

DAV = Storage("dav", "https://dav.example.org:1094/", "https://dav.example.org:1094", "/store/")
OTHER = Storage("other", "https://se.example.org", "https://wlcg.cern.ch/jwt/v1/any")


@pytest.mark.parametrize(
    ("narrowing", "words"),
    [
        (
            "audience=https://DAV.example.org:1094",
            "audience of dav is https://dav.example.org:1094",
        ),
        (
            "audience=https://dav.example.org:1094/",
            "audience of dav is https://dav.example.org:1094",
        ),
        ("audience=dav.example.org:1094", "audience of dav is https://dav.example.org:1094"),
        (
            "audience=https://se.example.org:443",
            "audience of other is https://wlcg.cern.ch/jwt/v1/any",
        ),
        (
            f"audience={DAV.audience}&scopes=storage.read:/Store/x",
            "paths at dav begin with /store/",
        ),
    ],
)
def test_a_slip_is_told_with_the_right_spelling(narrowing: str, words: str) -> None:
    """An issuer would sign it, and the storage refuse it, hours later."""
    with pytest.raises(Malformed) as slip:
        check(parse(f"cms&handle=h&{narrowing}"), [OTHER, DAV])
    assert words in slip.value.sentence


@pytest.mark.parametrize(
    "narrowing",
    [
        f"audience={DAV.audience}&scopes=storage.read:/store/x,compute.read",
        "audience=https://elsewhere.example.org",
        "scopes=storage.read:/Store/x",
        f"audience={OTHER.audience}&scopes=storage.read:/anything",
    ],
)
def test_what_is_right_or_not_listed_passes(narrowing: str) -> None:
    """The list is no allow-list."""
    check(parse(f"cms&handle=h&{narrowing}"), [DAV, OTHER])


def test_a_refusal_brings_the_spellings_that_are_like_what_was_asked() -> None:
    """Beside what the broker said itself."""
    asked = parse(
        f"cms&handle=h&audience={DAV.audience},https://wlcg.cern.ch/jwt/v2/any&scopes=storage.read:/eos/x"
    )
    with pytest.raises(OutsideCeiling) as refused, hinting(asked, [DAV, OTHER]):
        raise OutsideCeiling("Outside the role.", "Ask for less.")
    assert refused.value.remedy == (
        "The audience of other is https://wlcg.cern.ch/jwt/v1/any."
        " Paths at dav begin with /store/. Ask for less."
    )


def test_an_outage_brings_no_hint() -> None:
    """Nothing was misspelled."""
    with pytest.raises(BrokerUnreachable) as away, hinting(parse("cms&handle=h&audience=x"), [DAV]):
        raise BrokerUnreachable("Away.", "Wait.")
    assert away.value.remedy == "Wait."


def test_a_folder_of_lists_is_read_and_a_spoiled_file_lists_nothing(tmp_path: Path) -> None:
    """No submit fails because a list of hints is wrong."""
    (tmp_path / "a.yaml").write_text("- {name: dav, audience: https://dav.example.org}\n")
    (tmp_path / "b.yaml").write_text("- {name: dav, colour: red}\n")
    (tmp_path / "c.yaml").write_text("{")
    assert read(tmp_path) == [Storage("dav", audience="https://dav.example.org")]
    assert read(tmp_path / "none") == []
