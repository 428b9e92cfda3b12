"""Asks a running credbroker over HTTPS, with nothing but the standard library.

For programs there is one call, and the same without blocking: a fresh access token.

    from credbroker.client import fresh_token, fresh_token_async

`client.requests_auth` and `client.httpx_auth` put it on requests; `client.jupyter` is for notebooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["fresh_token", "fresh_token_async"]

if TYPE_CHECKING:
    from credbroker.client.fresh import fresh_token, fresh_token_async
else:

    def __getattr__(name: str) -> object:
        """Load what is asked for when it is: commands that only pass by here stay quick (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from credbroker.client import fresh

        return getattr(fresh, name)
