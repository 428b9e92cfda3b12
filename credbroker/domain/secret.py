"""A wrapper that keeps a secret from being shown by accident.

`repr`, `str` and `format` give the kind and a short fingerprint. Only `reveal()` gives the value;
a test in `tests/house` lists the rooms that may call it.
"""

from __future__ import annotations


class Secret:
    """One secret value, such as a refresh token, that never shows itself.

    Two secrets are equal when their values are; the comparison takes the same time wherever they
    differ.
    """

    __slots__ = ("_value", "kind")

    def __init__(self, kind: str, value: str) -> None:
        """Wrap `value`; `kind` names it for people, as in "refresh token"."""
        self.kind = kind
        self._value = value

    def reveal(self) -> str:
        """Give the value itself, for the one place that must send or store it."""
        return self._value

    def fingerprint(self) -> str:
        """Twelve hex digits of the SHA-256: enough to tell two values apart, no way back."""
        return self.digest()[:12]

    def digest(self) -> str:
        """Return the value's SHA-256 in hex, for a record that must recognise it again."""
        import hashlib  # many commands wrap secrets and digest none, and start quicker without

        return hashlib.sha256(self._value.encode()).hexdigest()

    def digests(self) -> tuple[str, str]:
        """Return the SHA-256 and the SHA-1 in hex, for the trail, in little more time than one."""
        import hashlib  # as in `digest`

        value = self._value.encode()
        sha1 = hashlib.sha1(value, usedforsecurity=False)
        return hashlib.sha256(value).hexdigest(), sha1.hexdigest()

    def extended(self, kind: str, prefix: str) -> Secret:
        """Return a secret of another kind: this value behind an open `prefix`."""
        return Secret(kind, prefix + self._value)

    def beginning(self, kind: str, length: int) -> Secret:
        """Return the first characters of this value, so many, as a secret of another kind."""
        return Secret(kind, self._value[:length])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # as in `digest`

        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.fingerprint()}>"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"a {self.kind} is not pickled")  # it would travel in clear text
