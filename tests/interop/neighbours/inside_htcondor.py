"""Runs inside HTCondor's own environment: asks its libSciTokens, and its map function, about tokens.

Questions come as one JSON object on standard input, the answers go as one to standard output. It is
started by the tests, in a Python that knows nothing of ours.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
from pathlib import Path
from typing import Any

# What the library says of an answer that was there before it first looked, as happens only where the
# issuer is on the same machine. Keys that it has are not fetched again.
_TOO_QUICK = "Unknown error"
_TRIES = 400


class Acl(ctypes.Structure):
    """A right as the library gives it."""

    _fields_ = [("authz", ctypes.c_char_p), ("resource", ctypes.c_char_p)]


class Refused(Exception):
    """The library's own words."""


class Library:
    """HTCondor's libSciTokens."""

    def __init__(self, ca_file: str, cache: str) -> None:
        """Load it; it trusts `ca_file` and keeps keys below `cache`."""
        packages = Path(str(importlib.import_module("htcondor2").__file__)).parents[1]
        (found,) = (packages / "htcondor.libs").glob("libSciTokens*")
        self._calls = ctypes.CDLL(str(found))
        self._set("tls.ca_file", ca_file)
        self._set("keycache.cache_home", cache)

    def rights(self, token: str, issuer: str, audience: str) -> list[str]:
        """Return which of HTCondor's levels a token gives at a service, or raise `Refused`."""
        read, enforcer = ctypes.c_void_p(), ctypes.c_void_p()
        issuers = (ctypes.c_char_p * 2)(issuer.encode(), None)
        self._call("scitoken_deserialize", token.encode(), ctypes.byref(read), issuers)
        complaint = ctypes.c_char_p()
        audiences = (ctypes.c_char_p * 2)(audience.encode(), None)
        self._calls.enforcer_create.restype = ctypes.c_void_p
        enforcer.value = self._calls.enforcer_create(
            issuer.encode(), audiences, ctypes.byref(complaint)
        )
        found = ctypes.POINTER(Acl)()
        self._call("enforcer_generate_acls", enforcer, read, ctypes.byref(found))
        return sorted(right for right in _walk(found) if right.startswith("condor:"))

    def _set(self, key: str, value: str) -> None:
        self._call("scitoken_config_set_str", key.encode(), value.encode())

    def _call(self, name: str, *words: Any) -> None:
        complaint = ctypes.c_char_p()
        if getattr(self._calls, name)(*words, ctypes.byref(complaint)) != 0:
            raise Refused((complaint.value or b"").decode())


def _walk(found: Any) -> list[str]:
    rights, at = [], 0
    while found[at].authz:
        rights.append(f"{found[at].authz.decode()}:{(found[at].resource or b'').decode()}")
        at += 1
    return rights


def mapped(pair: str) -> str | None:
    """Return what the map named `Groups` says of an issuer and subject; None if nothing."""
    importlib.import_module("htcondor2")  # which reads the settings that name the map
    expression = importlib.import_module("classad2").ExprTree(f'userMap("Groups", "{pair}")')
    found = expression.eval()
    return found if isinstance(found, str) else None


def judged(library: Library, token: str, issuer: str, audience: str) -> list[str] | str:
    """Return what a token allows, or the sentence of its refusal."""
    said = ""
    for _ in range(_TRIES):
        try:
            return library.rights(token, issuer, audience)
        except Refused as refused:
            said = str(refused)
        if said != _TOO_QUICK:
            break
    return said


def main() -> None:
    """Answer."""
    asked = json.load(sys.stdin)
    answers: list[Any] = []
    if "pairs" in asked:
        answers = [mapped(pair) for pair in asked["pairs"]]
    else:
        library = Library(asked["ca_file"], asked["cache"])
        for token in asked["tokens"]:
            answers.append(judged(library, token, asked["issuer"], asked["audience"]))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
