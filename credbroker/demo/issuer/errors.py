"""The one exception of the development issuer: a refusal as OAuth words it."""

from __future__ import annotations


class OAuthError(Exception):
    """A request is refused with an `error` code, a description and an HTTP status."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        """Name the `error` of RFC 6749 section 5.2, one sentence for people, and the status."""
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status

    def body(self) -> dict[str, str]:
        """Return the JSON members of RFC 6749 section 5.2."""
        return {"error": self.error, "error_description": self.description}
