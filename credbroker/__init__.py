"""credbroker: holds people's OIDC refresh tokens and keeps short-lived access tokens fresh.

The package has a handful of rooms; imports go down only. `docs/architecture.md` draws them, and
`docs/token-path.md` follows one token through them.
"""

__version__ = "0.1.0"
