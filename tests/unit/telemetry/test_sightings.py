"""Any leak of twelve bytes is seen in any form, chance is not taken for a leak, nothing is shown."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from credbroker.telemetry import sightings
from credbroker.telemetry.sightings import PIECE, Search, Sighting, forms_of

URL_SAFE = string.ascii_letters + string.digits + "-_"
AWKWARD = URL_SAFE + "/+=&%?\"'\\ é€😀"
SECRET = "kd83jf0aKQ1zP5vbnT7wXy"

secrets = st.text(AWKWARD, min_size=PIECE, max_size=90)
surroundings = st.binary(max_size=60)


def jwt(header: str, claims: str, signature: str) -> str:
    """Put a token together as RFC 7519 does."""
    parts = (base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in (header, claims))
    return b".".join(parts).decode() + "." + signature


@given(secrets)
@example(SECRET)
@example("/" * PIECE)
@example('"' * PIECE)
@example("\\u0041\\u0041%41%41")
@example("😀" * PIECE)
def test_each_form_of_any_secret_is_seen(secret: str) -> None:
    """The rehearsal leaves no form out."""
    search = Search([("refresh token", secret)])
    for form, leak in forms_of(secret).items():
        assert [seen.kind for seen in search.find(leak, "log")] == ["refresh token"], form
    assert search.blind_spots() == []


def test_the_forms_rehearsed_are_all_those_promised() -> None:
    """None may be lost without notice."""
    first_words = {form.split(",")[0] for form in forms_of(SECRET)}
    assert first_words >= {"raw", "piece", "inner piece", "percent-encoded", "hex", "gzip", "zlib"}
    assert first_words >= {"base64", "base64url", "JSON", "JSON in JSON"}
    offsets = {form[-1] for form in forms_of(SECRET) if "offset" in form}
    assert offsets == {"0", "1", "2"}


@given(st.text(URL_SAFE, min_size=PIECE, max_size=90), st.data(), surroundings, surroundings)
def test_any_twelve_bytes_of_a_secret_are_seen(
    secret: str, draw: st.DataObject, before: bytes, after: bytes
) -> None:
    """Wherever they were cut out and wherever they stand."""
    start = draw.draw(st.integers(0, len(secret) - PIECE))
    piece = secret[start : start + PIECE].encode()
    (seen,) = Search([("lease token", secret)]).find(before + piece + after, "log")
    assert seen == Sighting("lease token", "raw", "log")


@pytest.mark.parametrize("form", ["hex", "base64", "percent-encoded"])
def test_a_piece_is_seen_in_an_encoding_too(form: str) -> None:
    """Half a secret in hex is half a secret."""
    piece = SECRET[3 : 3 + PIECE].encode()
    encoded = {
        "hex": piece.hex().encode(),
        "base64": base64.b64encode(b"any" + piece + b"one"),
        "percent-encoded": b"%" + piece.hex("%").encode(),
    }
    (seen,) = Search([("refresh token", SECRET)]).find(encoded[form], "log")
    assert seen.form == form


@given(st.binary(max_size=4000), st.text(URL_SAFE, min_size=20, max_size=90))
def test_random_bytes_are_not_taken_for_a_secret(content: bytes, secret: str) -> None:
    """Unless they do hold twelve of its bytes."""
    pieces = (secret[at : at + PIECE].encode() for at in range(len(secret)))
    assume(not any(piece in content for piece in pieces if len(piece) == PIECE))
    in_a_reading = Search([("refresh token", secret)]).find(content, "log")
    assert all(seen.form != "raw" for seen in in_a_reading)


def test_ordinary_logs_and_other_secrets_are_not_taken_for_a_secret() -> None:
    """Text of the same alphabet, in the same forms, of other values."""
    search = Search([("refresh token", SECRET)])
    other = "Zq09LmWd4TgUe7RiBc2sHo"
    log = b'{"at":"2026-01-02T03:04:05Z","path":"/etc/credbroker/x%20y","sub":"d4\\/e5"}\n' * 50
    assert search.find(log + b"\n".join(forms_of(other).values()), "log") == []


def test_eleven_bytes_are_no_sighting() -> None:
    """A shorter piece could be chance."""
    leak = SECRET[: PIECE - 1].encode()
    assert Search([("refresh token", SECRET)]).find(b"<" + leak + b">", "log") == []


def test_each_kind_is_reported_once_per_place_in_the_plainest_form() -> None:
    """Two secrets of one kind, one in the clear and in hex: one line."""
    search = Search([("a", SECRET), ("a", SECRET[::-1]), ("b", "wholly-another-value")])
    leak = (SECRET + SECRET[::-1]).encode()
    content = leak.hex().encode() + b" " + leak + b" " + b"wholly-another-value".hex().encode()
    assert set(search.find(content, "log")) == {
        Sighting("a", "raw", "log"),
        Sighting("b", "hex", "log"),
    }


def test_a_secret_in_the_name_of_a_place_is_seen_and_not_repeated() -> None:
    """A file may be named by what it should hide."""
    seen = Search([("user code", SECRET)]).find(SECRET.encode(), f"/var/log/{SECRET}.log")
    assert [sighting.form for sighting in seen] == ["raw", "raw"]
    assert SECRET[:PIECE] not in " ".join(map(str, seen))


def test_a_signed_jwt_is_known_by_its_signature_alone() -> None:
    """Header and claims are like those of tokens that may be seen."""
    header, claims = '{"alg":"RS256","kid":"2026-01"}', '{"iss":"https://issuer.example/"}'
    search = Search([("access token", jwt(header, claims, SECRET))])
    assert search.find(jwt(header, claims, "another-signature").encode(), "log") == []
    assert len(search.find(jwt(header, claims, SECRET).encode(), "log")) == 1


def test_an_unsigned_jwt_is_known_by_its_claims() -> None:
    """Some issuers' refresh tokens are like that; the header is still everybody's."""
    claims = '{"jti":"2f8e5a1c-77b0-4d0e-9f3a-1c2d3e4f5a6b"}'
    token = jwt('{"alg":"none"}', claims, "")
    search = Search([("refresh token", token)])
    assert len(search.find(token[20:60].encode(), "log")) == 1
    assert search.find(b"eyJhbGciOiJub25lIn0.", "log") == []


def test_a_secret_too_short_to_tell_from_chance_is_refused_unseen() -> None:
    """The sentence names the kind and the limit, not the value."""
    with pytest.raises(ValueError, match="plant a user code of at least 12 bytes") as refusal:
        Search([("user code", "WDJB-MJHT")])
    assert "WDJB" not in str(refusal.value)


def test_a_search_that_lost_a_reading_knows_its_blind_spots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With only the raw reading left, the encoded forms are named."""
    monkeypatch.setattr(sightings, "readings", lambda content: [("raw", content)])
    blind = {spot.form for spot in Search([("refresh token", SECRET)]).blind_spots()}
    assert {"hex", "gzip", "base64, offset 1", "JSON, every character"} <= blind
    assert not {"raw", "piece"} & blind
