"""What a submit asks for is read as HTCondor writes it, and refused if no credmon could serve it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.edge.storer.asked import Asked, Service, by_service, parse, parse_service

SCOPES = ["storage.read:/a", "storage.read:/b", "storage.create:/a", "compute.read"]


def test_a_request_is_read_part_by_part() -> None:
    """As `condor_submit` puts it into one argument."""
    asked = parse("cms_prod&handle=ro&scopes=storage.read:/a&audience=https://se&options=for=12h")
    assert asked == Asked(
        Service("cms", "prod"),
        "ro",
        ("storage.read:/a",),
        ("https://se",),
        ("storage.read:/a", "https://se"),
        12 * 3600,
    )
    assert (asked.name, asked.service.name) == ("cms_prod_ro", "cms_prod")
    assert parse("cms").name == "cms"


@given(st.permutations(SCOPES), st.sampled_from([",", ", ", " ", " , "]))
def test_order_and_blanks_make_no_other_request(scopes: list[str], between: str) -> None:
    """HTCondor compares texts, so one spelling is stored and asked for."""
    asked = parse(f"cms&handle=h&scopes={between.join(scopes)}&audience=b{between}a")
    assert asked.narrowing == (",".join(sorted(SCOPES)), "a,b")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("cms&handle=a_b&scopes=storage.read:/a", "no underscore"),
        ("cms&scopes=storage.read:/a", "need a handle"),
        ("cms&audience=x", "need a handle"),
        ("cms_a_b", "one underscore at the most"),
        ("cms/x", "one underscore at the most"),
        ("", "one underscore at the most"),
        ("cms&handle", "'handle' is not understood"),
        ("cms&colour=red", "not understood"),
        ("cms&handle=a&handle=b", "said twice"),
        ("cms&scope=storage.read:/a&scopes=storage.read:/a&handle=a", "said twice"),
        ("cms&handle=a&scopes=storage.read:a", "must begin with a slash"),
        ("cms&options=for=soon", "not a duration"),
    ],
)
def test_what_nobody_could_serve_is_refused_in_words(argument: str, words: str) -> None:
    """At submit, not as a job that is held."""
    with pytest.raises(Malformed, match="cannot be served") as refused:
        parse(argument)
    assert words in refused.value.sentence


def test_the_longest_time_stated_counts_and_other_options_are_told() -> None:
    """Options of htgettoken's may be left in a submit file."""
    asked = parse("cms&options=--credkey=x for=2h,for=3h")
    assert (asked.stated_seconds, asked.unused) == (3 * 3600, ("--credkey=x",))


def test_requests_are_gathered_by_service_each_once() -> None:
    """In the order of the submit."""
    one, two, three = parse("a&handle=x"), parse("b"), parse("a&handle=y")
    assert by_service([one, two, three, one]) == {
        Service("a"): [one, three],
        Service("b"): [two],
    }


def test_a_service_is_an_issuer_and_perhaps_a_role() -> None:
    """One underscore parts them."""
    assert parse_service("cms") == Service("cms")
    assert parse_service("cms_prod") == Service("cms", "prod")
