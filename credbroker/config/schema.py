"""The settings, all of them, as the operator writes them in `config.d/*.yaml`.

Secrets never stand in a settings file: a key that ends in `_file` names the file that holds one.
Durations are in seconds. Every key has a default unless nothing sensible could be assumed.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from credbroker.config.communities import Community
from credbroker.config.notify import Notify
from credbroker.config.section import Seconds, Section, Text

Port = Annotated[int, Meta(ge=0, le=65535)]


class Tls(Section, frozen=True):
    """The certificate the broker shows: PEM files, the certificate with its chain."""

    certificate_file: Path
    key_file: Path


class Listen(Section, frozen=True):
    """Where the broker listens. Without `tls` only loopback addresses are allowed.

    Connections from `proxied_by`, addresses or networks, begin with a PROXY protocol header.
    """

    address: Text | Annotated[list[Text], Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8200
    tls: Tls | None = None
    proxied_by: list[Text] = []

    @property
    def addresses(self) -> list[str]:
        """All of them, also where one stands by itself."""
        return [self.address] if isinstance(self.address, str) else self.address


class AppRole(Section, frozen=True):
    """How the broker logs in to OpenBao or Vault anywhere: by the two halves of an AppRole."""

    role_id_file: Path
    secret_id_file: Path
    mount: Text = "approle"


class Kubernetes(Section, frozen=True):
    """How a pod logs in to OpenBao or Vault: as `role`, by its service account's token."""

    role: Text
    token_file: Path
    mount: Text = "kubernetes"


class Vault(Section, frozen=True):
    """The OpenBao or Vault that keeps all state; the addresses are nodes of one cluster.

    The broker logs in there by `approle` or by `kubernetes`.
    """

    addresses: Annotated[list[Text], Meta(min_length=1)]
    approle: AppRole | None = None
    kubernetes: Kubernetes | None = None
    mount: Text = "credbroker"
    ca_file: Path | None = None
    seconds: Seconds = 5.0


class Role(Section, frozen=True):
    """A named set of scopes to ask for at login, and the audiences its tokens may be for.

    No audiences means any: the issuer's own choice where a caller asks for none.
    """

    scopes: Annotated[list[Text], Meta(min_length=1)]
    audiences: list[Text] = []


class Legacy(Section, frozen=True):
    """The HTVault that served an issuer's people before, asked for vault tokens that are not ours.

    It is asked until the end of the day `until` (UTC), written YYYY-MM-DD.
    """

    url: Text
    until: datetime.date
    ca_file: Path | None = None


class Issuer(Section, frozen=True):
    """One token issuer: its exact issuer string, the broker's client there, and its dialect.

    `unclear_answer` says what a refresh means whose answer got lost; without it the recorded result
    of a probe counts, else `ask` (have the person log in again; safe wherever an issuer may rotate).
    `retry_safe`: it gives the same refresh token back. `grace`: it takes the old one for
    `grace_seconds` after rotating. `once_more`: a replay is refused and hurts nothing else. An answer
    is waited for `seconds`; to a refresh, whose answer must not be given up lightly,
    `refresh_seconds`. The pace of refreshes is each replica's. `confirm` says how a login through
    htgettoken goes on from the broker's page: back to it with the browser that confirmed (`page`;
    our redirect must be registered at the issuer), or by the issuer's device flow. With `exchange`
    narrower tokens are got by token exchange (RFC 8693), which spends no refresh token. `signed_by`
    names one of `communities`: tokens for its people are then signed here, by their rights.
    """

    url: Text
    client_id: Text
    roles: Annotated[dict[str, Role], Meta(min_length=1)]
    client_secret_file: Path | None = None
    ca_file: Path | None = None
    credkey_claim: Text = "sub"
    unclear_answer: Literal["ask", "retry_safe", "grace", "once_more"] | None = None
    grace_seconds: Seconds | None = None
    audience_parameter: Literal["audience", "resource"] = "audience"
    seconds: Seconds = 30.0
    refresh_seconds: Seconds = 120.0
    refreshes_at_once: Annotated[int, Meta(ge=1)] = 16
    refreshes_per_second: Annotated[float, Meta(gt=0)] = 50.0
    revoke_replaced: bool = True
    confirm: Literal["page", "device"] = "page"
    exchange: bool = False
    signed_by: Text | None = None
    legacy: Legacy | None = None


class Leases(Section, frozen=True):
    """How long leases last: a person's login, and at the most a job's."""

    login_seconds: Seconds = 28 * 86400.0
    job_seconds: Seconds = 7 * 86400.0


class Tokens(Section, frozen=True):
    """When an access token is due for replacement: after this fraction of its life."""

    renew_after: Annotated[float, Meta(gt=0, lt=1)] = 0.5


class Audit(Section, frozen=True):
    """Where the audit trail is written; one file per replica."""

    folder: Path


class Custody(Section, frozen=True):
    """How refresh tokens are kept over outages: this host's folder for it, and the times.

    Without a `folder` it is `custody` below the audit trail's. A claim counts as left behind after
    the issuer's time plus `store_seconds` and `margin_seconds`; after an outage of Vault such claims
    wait `spools_first_seconds`, so that spooled successors come first.
    """

    folder: Path | None = None
    store_seconds: Seconds = 30.0
    margin_seconds: Seconds = 30.0
    spools_first_seconds: Seconds = 60.0
    paused_seconds: Seconds = 60.0
    spool_entries: Annotated[int, Meta(ge=1)] = 1024


class Keeper(Section, frozen=True):
    """When a refresh token is used so that it does not idle out, and when an unused one is let go."""

    idle_refresh_seconds: Seconds = 7 * 86400.0
    dormant_seconds: Seconds = 90 * 86400.0
    warn_seconds: Seconds = 7 * 86400.0


class Limits(Section, frozen=True):
    """How many requests an address may send that show no lease known here."""

    per_address_per_second: Annotated[float, Meta(gt=0)] = 20.0
    per_address_burst: Annotated[int, Meta(ge=1)] = 100


class Htvault(Section, frozen=True):
    """What is served to htgettoken and to HTCondor's vault credmon, beside the endpoints.

    `options_file` is given out as `/htgettokenopts.txt`. Requests from `shared_hosts`, addresses
    or networks that many people share, are limited for each lease alone.
    """

    options_file: Path | None = None
    shared_hosts: list[Text] = []


class Kerberos(Section, frozen=True):
    """Logins by Kerberos ticket, for `issuers` (all where none is named).

    Principals of `realms` alone may log in. A principal opens the grants of the credkey that is its
    name without the realm, with `domain` behind it; robots are `user/purpose/host`.
    """

    keytab_file: Path
    realms: Annotated[list[Text], Meta(min_length=1)]
    issuers: list[Text] = []
    domain: str = ""


class Operator(Section, frozen=True):
    """A person who may contain an incident over the network, after a login at the issuer."""

    issuer: Text
    subject: Text


class Ssh(Section, frozen=True):
    """Logins by ssh key; `registration` says if people may register their agent's keys."""

    registration: bool = False


class Hosts(Section, frozen=True):
    """The hosts that tokens are delivered to, beside those that joined by an operator's token.

    A host whose name is in `names` may show a certificate that the authorities in `ca_file` (PEM)
    have signed. `groups` are what people may order for instead of one host. Both are lists of host
    names in which `*` stands for a part of a label, as in `login*.example.org`.
    """

    ca_file: Path | None = None
    names: list[Text] = []
    groups: dict[str, list[Text]] = {}


class Log(Section, frozen=True):
    """How much is logged, on standard error, as JSON."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section, frozen=True):
    """The whole tree. A broker that is only an issuer itself has `communities` and no `issuers`."""

    public_url: Text
    vault: Vault
    audit: Audit
    issuers: dict[str, Issuer] = {}
    listen: Listen = Listen()
    leases: Leases = Leases()
    tokens: Tokens = Tokens()
    custody: Custody = Custody()
    keeper: Keeper = Keeper()
    limits: Limits = Limits()
    htvault: Htvault = Htvault()
    kerberos: list[Kerberos] = []
    ssh: Ssh = Ssh()
    operators: list[Operator] = []
    hosts: Hosts = Hosts()
    communities: dict[str, Community] = {}
    notify: Notify = Notify()
    log: Log = Log()
