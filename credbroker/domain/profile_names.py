"""Names to which the WLCG profile gives a meaning of their own (WLCG profile 1.3)."""

from __future__ import annotations

ANY_AUDIENCE = "https://wlcg.cern.ch/jwt/v1/any"
"""The audience that stands for every service."""

# What steers a login or shapes the token but is no right at a service: never passed to a child.
CONTROL = frozenset({"openid", "offline_access", "profile", "email", "wlcg", "wlcg:1.0"})
