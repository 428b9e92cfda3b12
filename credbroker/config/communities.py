"""The settings of an issuer that the broker is itself, for one community (a VO) each.

Services log in as clients with a secret of their own. What a client, or a person by their rights, may
have signed is written out here and in `rights.d`; nothing is signed that is not written there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from credbroker.config.section import Seconds, Section, Text
from credbroker.domain.lifetimes import LONGEST_SECONDS
from credbroker.domain.revocations import SIGNED_SECONDS

Algorithm = Literal["RS256", "ES256"]
GrantType = Literal["client_credentials", "token_exchange", "refresh_token"]


class Keys(Section, frozen=True):
    """The keys that tokens are signed with, and where they lie.

    A new key is announced for `announce_seconds` before it signs, signs for `use_seconds`, and stays
    announced until its last token has expired. With `transit`, the mount of a transit engine, private
    keys never leave OpenBao/Vault. Batches are signed with RS256 in so many `threads`.
    """

    announce_seconds: Seconds = 86400.0
    use_seconds: Annotated[float, Meta(gt=0, le=366 * 86400)] = 180 * 86400.0
    transit: Text | None = None
    threads: Annotated[int, Meta(ge=1, le=64)] = 1


class ServiceClient(Section, frozen=True):
    """A service that logs in with a secret and is given tokens about itself.

    `secret_file` holds the secret, or `secret_sha256` is its SHA-256 in hex. `scopes` and `audiences`
    are the most that it may ask for; `default_scopes` (all, where not set) and `default_audiences` are
    what it gets that names none. `longest_seconds` goes beyond, or below, what the table of lifetimes
    gives to what is asked. The same request may get the token of the last `reuse_seconds` again. An
    answer that waits for the store is given up after `answer_seconds`. With `token_exchange` it may
    exchange tokens that `exchanges_for` (client ids) hold, its own always; if those asked for
    `offline_access`, it is given a refresh token that lasts `offline_seconds` from the token's issue:
    the same one at each use, or a new one where it `rotates`. `stage_adds_read` gives the read scope
    that staging needs to who asks for staging alone.
    """

    scopes: list[Text]
    audiences: list[Text]
    secret_file: Path | None = None
    secret_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    grants: tuple[GrantType, ...] = ("client_credentials",)
    default_scopes: list[Text] | None = None
    default_audiences: list[Text] = []
    longest_seconds: Annotated[float, Meta(ge=1, le=LONGEST_SECONDS)] | None = None
    reuse_seconds: Annotated[float, Meta(ge=0)] = 0.0
    answer_seconds: Annotated[float, Meta(gt=0, le=60)] = 2.5
    exchanges_for: list[Text] = []
    offline_seconds: Annotated[float, Meta(ge=1, le=SIGNED_SECONDS)] = 7 * 86400.0
    rotates: bool = False
    stage_adds_read: bool = False


class Audience(Section, frozen=True):
    """What is particular about tokens for one audience: the algorithm that its service can check."""

    algorithm: Algorithm = "RS256"


class Bridge(Section, frozen=True):
    """Signing for people while `upstream`, an issuer of the settings, is out: for `audiences` alone."""

    upstream: Text
    audiences: Annotated[list[Text], Meta(min_length=1)]
    outage_seconds: Annotated[float, Meta(ge=300)] = 300.0
    longest_seconds: Annotated[float, Meta(gt=0, le=3600)] = 3600.0
    most_seconds: Annotated[float, Meta(gt=0, le=86400)] = 86400.0
    refreshed_within_seconds: Annotated[float, Meta(gt=0, le=21600)] = 21600.0


class Community(Section, frozen=True):
    """The issuer of one community: its exact issuer string, which ends with a slash.

    `algorithm` signs for audiences that `audiences` does not name. `lifetimes` replaces rows of the
    table of lifetimes, in seconds, by the table's own names. `rights_folder` holds `*.yaml` that map
    the verified claims of a person's upstream issuer to what may be signed for them.
    """

    url: Text
    clients: dict[str, ServiceClient] = {}
    keys: Keys = Keys()
    algorithm: Algorithm = "RS256"
    audiences: dict[str, Audience] = {}
    lifetimes: dict[str, Seconds] = {}
    rights_folder: Path | None = None
    bridge: Bridge | None = None
