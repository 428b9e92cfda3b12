"""`credbroker token` where the answer is plain: a good token lies in its file, and nobody is asked.

Jobs call it before every transfer, and wait for Python itself then and for little else: this loads
what reads JSON, and nothing that only other cases need. It knows the plainest words and files alone
and says nothing about any others: where it is in doubt, `cli.token` decides, and says what is wrong.
Whatever is answered here, `cli.token` answers, too.
"""

from __future__ import annotations

import binascii
import os
import stat
import sys

from credbroker.domain.profile_names import ANY_AUDIENCE, CONTROL
from credbroker.host.clock import SystemClock
from credbroker.wire.strict_json import read_json

TYPE_CHECKING = False  # what mypy takes for the one in typing, which takes longer to load than this
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_LEAST_SECONDS = 60
_LEEWAY_SECONDS = 60
_LARGEST_FILE, _LARGEST_TOKEN = 256 * 1024, 16 * 1024
_LAST_SECOND = 1 << 35  # in the year 3058

_OPTIONS = {
    "--role": "role", "--minimum": "minimum", "--out": "out", "-o": "out", "--fresh": "fresh",
}  # fmt: skip
_LEASE_TEXTS = ("broker", "lease_token", "issuer", "issuer_url", "role", "credkey", "lease_ends_at")
_CLAIMED_TEXTS = ("iss", "sub", "jti", "wlcg.ver")
_CLAIMED_LISTS = ("aud", "wlcg.groups", "eduperson_entitlement")


class Doubt(Exception):
    """This is not plain."""


def plain_words(words: Sequence[str]) -> dict[str, str]:
    """Return what the plainest words say: options in full, each once, with their values.

    Raises:
        Doubt: They are not as plain as that.
    """
    said: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name = _OPTIONS.get(word, "issuer")
        value = word if name in {"issuer", "fresh"} else next(rest, "-")
        _check(name not in said and (name == "fresh" or (value and not value.startswith("-"))))
        said[name] = value
    return said


def run(words: Sequence[str]) -> int | None:
    """Answer `credbroker token WORDS` and return its exit code; None if this is for `cli.token`."""
    now = SystemClock().seconds()
    found = find(words, os.environ, os.geteuid(), now)
    if found is None:
        return None
    path, ends_at = found
    sys.stdout.write(path + "\n")
    if sys.stderr.isatty():
        from credbroker.cli.durations import spoken

        sys.stderr.write(f"Good for {spoken(ends_at - now)}.\n")
    return 0


def find(
    words: Sequence[str], environ: Mapping[str, str], euid: int, now: float
) -> tuple[str, float] | None:
    """Return the path of the token that is the answer, and when it ends; None where that is not plain.

    Args:
        words: What follows `credbroker token`.
        environ: The environment.
        euid: Who asks.
        now: The wall-clock time, as the end, in seconds since 1970.
    """
    try:
        said = plain_words(words)
        _check("fresh" not in said)
        path = _path(said.get("out"), environ, euid)
        lease = _lease(said, environ, euid)
        content, found = _read(path, euid)
        ends_at = _end(content.strip(b" \t\n\v\f\r"), lease, now)
        _check(found.st_mtime <= now)
        _check(ends_at - now >= max(_seconds(said.get("minimum")), _LEAST_SECONDS))
    except (Doubt, KeyError, OSError, RecursionError, TypeError, ValueError):
        return None
    return path, ends_at


def _check(fact: object) -> None:
    if not fact:
        raise Doubt


def _seconds(said: str | None) -> int:
    if said is None:
        return 0
    from credbroker.cli.durations import parse_duration

    return parse_duration(said)


def _path(out: str | None, environ: Mapping[str, str], euid: int) -> str:
    """Return the token's path, which reads the same however it is written down."""
    _check(not environ.get("BEARER_TOKEN"))
    own = environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108 - as `delivery.discovery`
    path = out or environ.get("BEARER_TOKEN_FILE") or f"{own}/bt_u{euid}"
    _check(path.isascii() and path != "/dev/stdout")
    _check(path[:1] == "/" and all(part not in {"", "."} for part in path[1:].split("/")))
    return path


def _lease(said: Mapping[str, str], environ: Mapping[str, str], euid: int) -> dict[str, Any]:
    """Return the fields of the login that is meant, as `delivery.lease_file` wrote them."""
    state = environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):
        state = environ["HOME"] + "/.local/state"
        _check(state.startswith("/"))
    folder = state + "/credbroker/leases"
    names = [one.name for one in os.scandir(folder)]
    (name,) = [one for one in names if _is_meant(one, said)]
    content, found = _read(f"{folder}/{name}", euid)
    _check(not stat.S_IMODE(found.st_mode) & (stat.S_IRWXG | stat.S_IRWXO))
    lease = _object(content)
    for field in _LEASE_TEXTS:
        _text(lease[field])
    _check(isinstance(lease["scopes"], list))
    return lease


def _is_meant(name: str, said: Mapping[str, str]) -> bool:
    issuer, plus, role = name[: -len(".json")].partition("+")
    meant = said.get("issuer", issuer) == issuer and said.get("role", role) == role
    return name.endswith(".json") and bool(plus) and meant


def _read(path: str, euid: int) -> tuple[bytes, os.stat_result]:
    """Return the content of a plain file of ours or root's, as `delivery.whole_file` does."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        found = os.fstat(opened)
        _check(stat.S_ISREG(found.st_mode) and found.st_uid in {euid, 0})
        _check(found.st_size <= _LARGEST_FILE)
        return os.read(opened, _LARGEST_FILE), found
    finally:
        os.close(opened)


def _end(token: bytes, lease: Mapping[str, Any], now: float) -> float:
    """Return when a token ends that is just what this login's would be, and good now."""
    _check(len(token) <= _LARGEST_TOKEN)
    header_part, claims_part, signature = map(_decoded, token.split(b"."))
    header, claims = _object(header_part), _object(claims_part)
    _check(signature and _text(header["kid"]))
    for name in _CLAIMED_TEXTS:
        _text(claims[name])
    audiences, *_ = [_texts(claims.get(name)) for name in _CLAIMED_LISTS]
    _check(claims["iss"] == lease["issuer_url"] and set(audiences) == {ANY_AUDIENCE})
    _check(_rights(_text(claims["scope"]).split()) == _rights(lease["scopes"]))
    issued_at, ends_at = _moment(claims["iat"]), _moment(claims["exp"])
    not_before = _moment(claims.get("nbf", issued_at))
    _check(max(issued_at, not_before) <= now + _LEEWAY_SECONDS)
    return ends_at


def _decoded(part: bytes) -> bytes:
    _check(part.translate(None, b"-_").isalnum())
    return binascii.a2b_base64(part.translate(_STANDARD) + b"=" * (-len(part) % 4))


_STANDARD = bytes.maketrans(b"-_", b"+/")


def _object(content: bytes) -> dict[str, Any]:
    read = read_json(content)
    _check(isinstance(read, dict))
    return dict(read)


def _text(value: Any) -> str:
    text = str(value)
    _check(text is value and text and text.isascii())
    return text


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in ([value] if isinstance(value, str) else value or [])]


def _moment(value: Any) -> float:
    _check(type(value) in {int, float} and 0 <= value < _LAST_SECOND)
    return float(value)


def _rights(scopes: list[str]) -> set[str]:
    return {_text(one) for one in scopes} - CONTROL
