"""Refresh tokens of ours are told apart by generation, and bound to one right of one client."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import TokenRefused
from credbroker.domain.issued_refresh import (
    GRACE_SECONDS,
    IssuedRefresh,
    RefreshText,
    Use,
    id_of,
)
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.unit.things import NOON, seconds

RIGHT = Right(ScopeSet.parse("storage.read:/a fts"), ("https://se1", "https://se2"))
ID = "i" * 22


def secret(letter: str) -> Secret:
    """Return the secret half of a token."""
    return Secret("issued refresh token", letter * 43)


def shown(generation: int, letter: str) -> RefreshText:
    """Return a token as it is presented."""
    return RefreshText(ID, generation, secret(letter))


FIRST = IssuedRefresh(
    id=ID, community="dteam", holder="fts", subject="rucio", granted_to="rucio",
    subject_jti="jti-1", right=RIGHT, groups=(), actor=None, created_at=NOON,
    ends_at=NOON + seconds(3600), generation=1, secret_hash=secret("a").digest(), write_id="w",
)  # fmt: skip
SECOND = FIRST.rotated(secret("b").digest())


def test_it_travels_as_three_parts_that_may_stand_in_a_url() -> None:
    """And comes back as it went."""
    text = shown(12, "a").text().reveal()
    assert text == f"{ID}.12.{'a' * 43}"
    assert RefreshText.parse(text) == shown(12, "a")


@pytest.mark.parametrize(
    "text",
    ["", "abc", f"{ID}.0.{'a' * 43}", f"{ID}.01.{'a' * 43}", f"{ID}.1.{'a' * 42}",
     f"{ID}.1.{'a' * 43}\n", f" {ID}.1.{'a' * 43}", f"{ID}.{'9' * 10}.{'a' * 43}",
     "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", f"{ID}.\uff11.{'a' * 43}"],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    """An access token, above all."""
    assert RefreshText.parse(text) is None


def test_the_current_one_is_taken() -> None:
    """However long ago anything happened."""
    assert FIRST.use(shown(1, "a"), 1e9) is Use.CURRENT
    assert SECOND.use(shown(2, "b"), 1e9) is Use.CURRENT
    assert SECOND.is_current(shown(2, "b"))
    assert not SECOND.is_current(shown(1, "b"))


def test_the_one_before_is_taken_again_soon_after() -> None:
    """An answer may have got lost; later somebody else has it."""
    assert SECOND.use(shown(1, "a"), GRACE_SECONDS - 0.1) is Use.AGAIN
    assert SECOND.use(shown(1, "a"), GRACE_SECONDS) is Use.REPLAY


@pytest.mark.parametrize(
    "wrong", [shown(1, "x"), shown(2, "a"), shown(1, "b"), shown(3, "b"), shown(2, "x")]
)
def test_a_secret_that_was_never_its_own_is_unknown(wrong: RefreshText) -> None:
    """Nor is one of another generation."""
    with pytest.raises(TokenRefused, match="not known"):
        SECOND.use(wrong, 0.0)


def test_the_first_has_none_before_it() -> None:
    """An empty hash is nobody's."""
    with pytest.raises(TokenRefused):
        FIRST.use(RefreshText(ID, 0, Secret("issued refresh token", "")), 0.0)


def test_it_counts_until_its_end() -> None:
    """Or until it is ended; the first end stays."""
    FIRST.check_alive(NOON + seconds(3599))
    with pytest.raises(TokenRefused, match="run out"):
        FIRST.check_alive(NOON + seconds(3600))
    ended = FIRST.ended(NOON)
    with pytest.raises(TokenRefused, match="ended"):
        ended.check_alive(NOON)
    assert ended.ended(NOON + seconds(5)) is ended


def test_the_id_is_the_same_in_whatever_order_is_asked() -> None:
    """22 characters, for a path and for a URL."""
    turned = Right(ScopeSet.parse("fts storage.read:/a"), ("https://se2", "https://se1"))
    assert id_of("dteam", "fts", "jti-1", RIGHT) == id_of("dteam", "fts", "jti-1", turned)
    assert RefreshText.parse(f"{id_of('dteam', 'fts', 'jti-1', RIGHT)}.1.{'a' * 43}") is not None


def test_any_difference_gives_another_id() -> None:
    """Community, client, token, scopes, audiences, and the order of the groups."""
    ids = {
        id_of("dteam", "fts", "jti-1", RIGHT),
        id_of("ops", "fts", "jti-1", RIGHT),
        id_of("dteam", "rucio", "jti-1", RIGHT),
        id_of("dteam", "fts", "jti-2", RIGHT),
        id_of("dteam", "fts", "jti-1", Right(ScopeSet.parse("fts"), RIGHT.audiences)),
        id_of("dteam", "fts", "jti-1", Right(RIGHT.scopes, ("https://se1",))),
        id_of("dteam", "fts", "jti-1", RIGHT, ("/a", "/b")),
        id_of("dteam", "fts", "jti-1", RIGHT, ("/b", "/a")),
    }
    assert len(ids) == 8


@given(cut=st.integers(0, 3))
def test_a_scope_is_not_taken_for_an_audience(cut: int) -> None:
    """Where one list ends and the other begins matters."""
    words = ["a", "b", "c"]
    right = Right(ScopeSet.of(words[:cut]), tuple(words[cut:]))
    others = {
        id_of("d", "f", "j", Right(ScopeSet.of(words[:n]), tuple(words[n:]))) for n in range(4)
    }
    assert len(others) == 4
    assert id_of("d", "f", "j", right) in others


def test_no_text_of_it_shows_a_secret() -> None:
    """Neither of the record nor of what was shown."""
    assert "a" * 43 not in repr(FIRST) + repr(shown(1, "a"))
    assert replace(FIRST, generation=2) != FIRST
