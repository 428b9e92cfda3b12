"""The WLCG bearer token discovery, place by place."""

from __future__ import annotations

from pathlib import Path

import pytest

from credbroker.delivery import discovery
from credbroker.delivery.discovery import find, path_for_writing
from credbroker.domain.errors import LocalFileUnfit

UID = 4_000_000_000  # nobody has it, so /tmp/bt_u<it> is there only if a test made it


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The three files of the discovery, in folders of this test."""
    own, last = tmp_path / "run", tmp_path / "tmp"
    own.mkdir()
    last.mkdir()
    monkeypatch.setattr(discovery, "_LAST_FOLDER", last)
    return {"named": tmp_path / "named", "own": own / f"bt_u{UID}", "last": last / f"bt_u{UID}"}


def environ_of(places: dict[str, Path], **more: str) -> dict[str, str]:
    """Return an environment that names the places."""
    return {"XDG_RUNTIME_DIR": str(places["own"].parent), **more}


def found(environ: dict[str, str]) -> str | None:
    """Return the token that is found, open, for comparison."""
    token = find(environ, UID)
    return None if token is None else token.value.reveal()


def test_the_first_place_that_holds_a_token_wins(places: dict[str, Path]) -> None:
    """Variable, named file, own folder, last folder: in that order."""
    environ = environ_of(places, BEARER_TOKEN="one", BEARER_TOKEN_FILE=str(places["named"]))
    for name, value in (("named", "two"), ("own", "three"), ("last", "four")):
        places[name].write_text(value)
    assert found(environ) == "one"
    del environ["BEARER_TOKEN"]
    assert found(environ) == "two"
    del environ["BEARER_TOKEN_FILE"]
    assert found(environ) == "three"
    places["own"].unlink()
    assert found(environ) == "four"
    assert found({}) == "four"
    places["last"].unlink()
    assert found(environ) is None


def test_white_space_does_not_count_and_an_empty_place_leads_on(places: dict[str, Path]) -> None:
    """Space, tab, line feed, vertical tab, form feed and carriage return are stripped."""
    environ = environ_of(places, BEARER_TOKEN=" \t\n", BEARER_TOKEN_FILE=str(places["named"]))
    places["named"].write_text("\v\f\r\n")
    places["own"].write_text("")
    places["last"].write_text(" \t\n\v\f\ra.b-c_d~e+f/g==\r\n")
    assert found(environ) == "a.b-c_d~e+f/g=="


@pytest.mark.parametrize("text", ["two words", "=", "a=b", "t\N{LATIN SMALL LETTER E WITH ACUTE}"])
@pytest.mark.parametrize("name", ["variable", "named", "own", "last"])
def test_what_is_no_token_ends_the_search(places: dict[str, Path], name: str, text: str) -> None:
    """An error names the place and never the content; later places are not looked at."""
    environ = environ_of(places)
    if name == "variable":
        environ["BEARER_TOKEN"] = text
    else:
        places[name].write_text(text)
    if name == "named":
        environ["BEARER_TOKEN_FILE"] = str(places["named"])
    with pytest.raises(LocalFileUnfit, match="not a bearer token") as unfit:
        find(environ, UID)
    assert text not in unfit.value.sentence or text == "="


def test_a_named_file_that_is_missing_is_an_error(places: dict[str, Path]) -> None:
    """Somebody meant that one; another token in its place would be a surprise."""
    places["own"].write_text("other")
    with pytest.raises(LocalFileUnfit, match="which is not there"):
        find(environ_of(places, BEARER_TOKEN_FILE=str(places["named"])), UID)


def test_a_link_is_followed_only_where_it_was_named(places: dict[str, Path]) -> None:
    """Kubernetes mounts tokens as links; in a shared folder a link is a trap."""
    target = places["named"].with_name("target")
    target.write_text("linked")
    places["named"].symlink_to(target)
    assert found(environ_of(places, BEARER_TOKEN_FILE=str(places["named"]))) == "linked"
    places["last"].symlink_to(target)
    with pytest.raises(LocalFileUnfit):
        find(environ_of(places), UID)


def test_tokens_are_written_where_they_are_looked_for(places: dict[str, Path]) -> None:
    """The named file first, then the own folder, then the last one."""
    environ = environ_of(places, BEARER_TOKEN_FILE=str(places["named"]))
    assert path_for_writing(environ, UID) == places["named"]
    assert path_for_writing(environ_of(places), UID) == places["own"]
    assert path_for_writing({"XDG_RUNTIME_DIR": ""}, UID) == places["last"]


def test_the_last_folder_is_the_one_the_discovery_names() -> None:
    """Outside of tests it is /tmp."""
    assert path_for_writing({}, 7) == Path("/tmp/bt_u7")
