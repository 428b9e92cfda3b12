"""Tokens for files, many at a time: what a service asks for, and one line of the answer for each.

What is asked is one JSON object. The answer is one JSON object a line (`application/x-ndjson`), in the
order of the entries; a line holds a token, a URL with the token in it, or a problem. An entry that
cannot be read spoils no other.
"""

from __future__ import annotations

import datetime
import functools
import json
from dataclasses import dataclass, field
from typing import Any, List, Optional, Union

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import LotToken
from credbroker.wire.fields import Fields, parse_object, write_instant
from credbroker.wire.message import ACCESS_TOKEN, Message, Request
from credbroker.wire.native import Problem

FILES = "/api/v1/communities/{name}/tokens:files"
MOST_FILES = 10_000
LARGEST_BYTES = 4 * 1024 * 1024
LINES = "application/x-ndjson"
FORMS = ("token", "url")

_PRESIGNED_URL = {"kind": "pre-signed URL"}


@dataclass(frozen=True)
class AskFile(Request):
    """Ask for a token for one file, or for a folder and all below it.

    `path` is as scopes have it; `access` names `read`, `create`, `modify`, `stage`, `poll`, one or
    several. The storage is named by its `audience`, or by the file's `url` there. With the `form` `url`
    the answer is that URL with the token in it.
    """

    path: str
    access: List[str]
    audience: Optional[str] = None
    url: Optional[str] = None
    lifetime_seconds: Optional[int] = None
    form: str = "token"


@dataclass(frozen=True)
class AskFiles(Request):
    """Ask for up to 10,000 tokens, each for a file."""

    entries: List[AskFile]


@dataclass(frozen=True)
class FileAnswered(Message):
    """What became of the entry `n`, counted from 0: a token, a URL or a problem, one of the three.

    `scope` is there where it is more than was asked for, as when reading was added to staging.
    """

    n: int
    access_token: Optional[Secret] = field(default=None, metadata=ACCESS_TOKEN)
    url: Optional[Secret] = field(default=None, metadata=_PRESIGNED_URL)
    expires_at: Optional[datetime.datetime] = None
    jti: Optional[str] = None
    scope: Optional[str] = None
    problem: Optional[Problem] = None


def read_asked(body: bytes) -> List[Union[AskFile, Malformed]]:
    """Return the entries of a request, each as it is or with what is wrong with it.

    Raises `Malformed` if the body is no list of at most `MOST_FILES` entries.
    """
    fields = parse_object(body, AskFiles.what).only(("entries",))
    entries = fields.raw("entries")
    if not isinstance(entries, list) or len(entries) > MOST_FILES:
        raise Malformed(
            f"The request needs 'entries' to be a list of at most {MOST_FILES} objects."
        )
    return [_read(entry) for entry in entries]


def _read(entry: Any) -> Union[AskFile, Malformed]:
    """Read an entry; the usual ones without a look at each field by name, which is ten times as quick."""
    try:
        asked = AskFile(**entry)
        if _is_plain(asked):
            return asked
    except TypeError:
        pass  # it is no object, or a field is missing or not known: below it is said which
    try:
        return AskFile.of(Fields(entry, AskFile.what))
    except Malformed as error:
        return error


def _is_plain(asked: AskFile) -> bool:
    """True if all types are as they should be, and no text is empty. Raises `TypeError` if not."""
    optional = [one for one in (asked.audience, asked.url) if one is not None]
    texts = [asked.path, asked.form, *optional]
    seconds = asked.lifetime_seconds
    return (
        type(asked.access) is list
        and "".join(texts + asked.access).isascii()
        and "" not in texts
        and (seconds is None or (type(seconds) is int and abs(seconds) < 10**9))
    )


def write_token(n: int, token: LotToken, scope: Optional[str] = None) -> str:
    """Write the line for entry `n`, with its newline; `scope` if it is more than was asked for."""
    return f'{{"n":{n},"access_token":"{token.value.reveal()}"{_rest(token, scope)}'


def write_url(n: int, token: LotToken, url: str) -> str:
    """Write the line for entry `n` that asked for a URL, which holds nothing that JSON would escape."""
    mark = "&" if "?" in url else "?"
    return f'{{"n":{n},"url":"{url}{mark}authz=Bearer%20{token.value.reveal()}"{_rest(token, None)}'


def _rest(token: LotToken, scope: Optional[str]) -> str:
    more = f',"scope":{json.dumps(scope)}' if scope else ""
    return f',"expires_at":"{_written(token.lot.expires_at)}","jti":"{token.jti}"{more}}}\n'


_written = functools.lru_cache(maxsize=256)(write_instant)


def write_problem_line(n: int, problem: Problem) -> str:
    """Write the line for entry `n` that was refused, with its newline."""
    return FileAnswered(n, problem=problem).write().decode() + "\n"
