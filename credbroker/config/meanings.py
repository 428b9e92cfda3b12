"""What each setting means, in words: the reference page and the example are made of this.

A key stands once for all entries of a mapping, as `issuers.<name>.url`. Its default is not said again: the
schema has it.
"""

from __future__ import annotations

MEANINGS = {
    "public_url": "how clients reach the broker",
    "listen.address": (
        "the address to listen on, or a list of them: `0.0.0.0` is all of IPv4, `::` all of "
        'IPv6, `["0.0.0.0", "::"]` both; of a name, every address that this host finds for it'
    ),
    "listen.port": "the port; 0 takes a free one",
    "listen.proxied_by": (
        "addresses or networks of balancers: a connection from there begins with a PROXY "
        "protocol header (version 1 or 2), and who is named in it counts as the caller; a "
        "header from anywhere else is refused"
    ),
    "listen.tls.certificate_file": (
        "the certificate with its chain, PEM; `listen.tls` may be left out on a loopback "
        "address only"
    ),
    "listen.tls.key_file": "its key, PEM",
    "vault.addresses": (
        "base URLs of all nodes of one cluster; a standby that stands alone there may refuse "
        "logins until the leader is known"
    ),
    "vault.approle.role_id_file": (
        "the file with the AppRole's role id; instead of `vault.approle` a pod may have "
        "`vault.kubernetes`"
    ),
    "vault.approle.secret_id_file": (
        "the file with the AppRole's secret id; read afresh at each login"
    ),
    "vault.approle.mount": "where the AppRole method is mounted",
    "vault.kubernetes.role": "the role of the Kubernetes method that the broker logs in as",
    "vault.kubernetes.token_file": (
        "the file with the pod's service account's token, for the audience that the role asks "
        "for; read afresh at each login"
    ),
    "vault.kubernetes.mount": "where the Kubernetes method is mounted",
    "vault.mount": "where the KV version 2 engine is mounted",
    "vault.ca_file": "authorities to trust for Vault, PEM; none means the system's",
    "vault.seconds": "how long one call to Vault may take",
    "issuers.<name>.url": (
        "the exact issuer string, as it stands in tokens; `issuers` may be left out where "
        "`communities` has one"
    ),
    "issuers.<name>.client_id": "the broker's client there",
    "issuers.<name>.client_secret_file": "the file with its secret; none means a public client",
    "issuers.<name>.ca_file": "authorities to trust for this issuer, PEM; none means the system's",
    "issuers.<name>.credkey_claim": "the claim of the ID token that becomes the credkey",
    "issuers.<name>.unclear_answer": (
        "what a refresh means whose answer got lost: `ask` leaves the grant in doubt; "
        "`retry_safe`: this issuer gives the same refresh token back; `grace`: it takes the old"
        " one for a time after rotating, so one retry within that; `once_more`: a replay is "
        "refused and hurts nothing else, so one retry; none means what a probe recorded, else "
        "`ask`"
    ),
    "issuers.<name>.grace_seconds": (
        "with `grace`, and only then: how long the old refresh token is taken; 15 at the least"
    ),
    "issuers.<name>.audience_parameter": (
        "how this issuer is asked for an audience: `audience`, or `resource` (RFC 8707), where "
        "every role must name its audiences"
    ),
    "issuers.<name>.seconds": "how long one call to the issuer may take",
    "issuers.<name>.refresh_seconds": (
        "how long the answer to a refresh is waited for; with `grace`, a third of that time at "
        "the most"
    ),
    "issuers.<name>.refreshes_at_once": (
        "how many refreshes a replica has under way here at the most"
    ),
    "issuers.<name>.refreshes_per_second": (
        "how many refreshes a replica begins here in a second at the most"
    ),
    "issuers.<name>.revoke_replaced": (
        "whether a new login has the refresh token that it replaces revoked; `false` where an "
        "issuer ties a person's logins together, so that revoking one ends the other"
    ),
    "issuers.<name>.confirm": (
        "how a login through htgettoken goes on from the broker's page: `page` leads back to it"
        " with the browser that confirmed, for which the issuer must know the redirect "
        "`<public_url>/v1/auth/oidc-<name>/oidc/callback`; `device` goes on by the issuer's "
        "device flow, where whoever started a login can confirm it himself and hand the "
        "issuer's link to somebody else"
    ),
    "issuers.<name>.exchange": (
        "whether narrower tokens are got by token exchange (RFC 8693), which uses no refresh "
        "token; the issuer must have given the broker's client that grant type"
    ),
    "issuers.<name>.legacy.url": (
        "the HTVault that served this issuer's people before, asked for vault tokens that are "
        "not this broker's; `legacy` may be left out"
    ),
    "issuers.<name>.legacy.until": "the last day, by UTC, on which it is asked: YYYY-MM-DD",
    "issuers.<name>.legacy.ca_file": "authorities to trust for it, PEM; none means the system's",
    "issuers.<name>.roles.<name>.scopes": (
        "what is asked for at login; `openid` and `offline_access` must be among them"
    ),
    "issuers.<name>.roles.<name>.audiences": (
        "whom this role's tokens may be for; empty means anybody"
    ),
    "issuers.<name>.signed_by": (
        "one of `communities`: tokens for this issuer's people are then signed here, by their "
        "rights"
    ),
    "communities.<name>.url": (
        "the exact issuer string of a community's own issuer, which ends with a slash; its path"
        " is where it is served, and must be its own"
    ),
    "communities.<name>.algorithm": (
        "what tokens are signed with, `RS256` or `ES256`, where their audiences say nothing else"
    ),
    "communities.<name>.audiences.<name>.algorithm": (
        "what tokens for this audience are signed with"
    ),
    "communities.<name>.lifetimes.<name>": (
        "a row of the table of lifetimes, and its usual seconds in place of those there"
    ),
    "communities.<name>.rights_folder": (
        "the folder of `*.yaml` that map the claims of people to what may be signed for them"
    ),
    "communities.<name>.clients.<name>.scopes": (
        "each entry of `clients` is a service, by its client id: the most that it may have signed"
    ),
    "communities.<name>.clients.<name>.audiences": (
        "for whom; `*` stands for a part of one label of a host's name but the last, as in "
        "`https://*.example.org`"
    ),
    "communities.<name>.clients.<name>.secret_file": (
        "the file with its secret; either this or `secret_sha256`"
    ),
    "communities.<name>.clients.<name>.secret_sha256": "the SHA-256 of its secret, in hex",
    "communities.<name>.clients.<name>.grants": (
        "which it may use: `client_credentials`, `token_exchange`, `refresh_token`"
    ),
    "communities.<name>.clients.<name>.default_scopes": (
        "what it gets that names no scope; none means all of `scopes`"
    ),
    "communities.<name>.clients.<name>.default_audiences": (
        "what it gets that names no audience; without any it must name one, unless `audiences` "
        "is a single one"
    ),
    "communities.<name>.clients.<name>.longest_seconds": (
        "how long its tokens live, in place of the usual time and within the most of the table "
        "of lifetimes; 30 days at the most"
    ),
    "communities.<name>.clients.<name>.reuse_seconds": (
        "for how long the same request is answered with the same token, never one with "
        "`storage.modify`"
    ),
    "communities.<name>.clients.<name>.answer_seconds": (
        "after how long it is told to come again, if what must be stored first is not; 60 at "
        "the most"
    ),
    "communities.<name>.clients.<name>.exchanges_for": (
        "the ids of clients whose tokens it may exchange, beside its own"
    ),
    "communities.<name>.clients.<name>.offline_seconds": (
        "how long a refresh token lasts that comes of a token of this client, from that token's"
        " issue on; 183 days at the most"
    ),
    "communities.<name>.clients.<name>.rotates": (
        "whether each use of its refresh tokens gives a new one; most services never store a "
        "second one"
    ),
    "communities.<name>.clients.<name>.stage_adds_read": (
        "whether who asks for `storage.stage` alone gets the `storage.read` that it needs, "
        "instead of a refusal"
    ),
    "communities.<name>.keys.announce_seconds": (
        "for how long a new key is published before it signs"
    ),
    "communities.<name>.keys.use_seconds": "for how long it signs",
    "communities.<name>.keys.transit": (
        "the mount of a transit engine, where private keys never leave OpenBao/Vault; none "
        "means that replicas read and share them"
    ),
    "communities.<name>.keys.threads": "in how many threads batches are signed with RS256; more workers serve single tokens",
    "communities.<name>.bridge.upstream": (
        "the issuer for whose people tokens are signed here while it is out; `bridge` may be "
        "left out, and then none are"
    ),
    "communities.<name>.bridge.audiences": (
        "for these audiences alone, which trust both issuers for the same"
    ),
    "communities.<name>.bridge.outage_seconds": (
        "how long it must be out, as every replica sees it; 300 at the least"
    ),
    "communities.<name>.bridge.longest_seconds": "how long such a token lives at the most",
    "communities.<name>.bridge.most_seconds": "for how long of one outage they are signed",
    "communities.<name>.bridge.refreshed_within_seconds": (
        "how recently a grant must have been refreshed well"
    ),
    "audit.folder": "where the audit trail is written",
    "leases.login_seconds": "how long a person's login lasts",
    "leases.job_seconds": "how long a job's lease may last at the most",
    "tokens.renew_after": (
        "the fraction of an access token's life after which it is due for replacement"
    ),
    "custody.folder": (
        "where this host keeps its spool and its marks; none means `custody` below `audit.folder`"
    ),
    "custody.store_seconds": (
        "how long storing a refreshed token may take before its claim counts as left behind"
    ),
    "custody.margin_seconds": "how much longer than issuer and store a claim is waited for",
    "custody.spools_first_seconds": (
        "after an outage of Vault, how long claims left behind wait for spooled successors"
    ),
    "custody.paused_seconds": "how long a paused grant rests before it is tried again",
    "custody.spool_entries": "for how many refreshed tokens room is set aside in the spool",
    "keeper.idle_refresh_seconds": (
        "a refresh token that was not used for this long is used, so that it does not idle out"
    ),
    "keeper.dormant_seconds": (
        "a login that nobody used for this long, by Vault's clock, is let go: revoked and "
        "removed; longer than any lease"
    ),
    "keeper.warn_seconds": "how long before that it is warned of",
    "kerberos.keytab_file": (
        "each entry of the list `kerberos` lets people of some issuers log in by ticket: the "
        "keytab with the keys of `host/<name>`"
    ),
    "kerberos.realms": "the realms whose principals may log in; none but these",
    "kerberos.issuers": (
        "for which issuers this entry is; empty means all; the first entry that fits counts"
    ),
    "kerberos.domain": (
        "what stands behind a user's name in these issuers' credkeys, such as `@cern.ch`"
    ),
    "limits.per_address_per_second": (
        "how many requests a second an address may send that show no lease known here: logins "
        "begun, leases wrong or missing, and for each client of a community as many wrong "
        "secrets; an IPv6 network of 64 bits may send ten times as many"
    ),
    "limits.per_address_burst": "how many of those it may send at once",
    "htvault.options_file": (
        "file of htgettoken options that `/htgettokenopts.txt` gives to everybody"
    ),
    "htvault.shared_hosts": (
        "addresses or networks, such as `192.0.2.0/28`, that many people share: requests from "
        "there are limited for each lease alone"
    ),
    "ssh.registration": (
        "whether people may register the keys of their ssh agents, right after a login; keys "
        "that are registered log in either way"
    ),
    "operators.issuer": (
        "each entry of the list `operators` names a person who may contain over the network: "
        "the issuer"
    ),
    "operators.subject": "and the person's `sub` there",
    "hosts.ca_file": (
        "authorities, PEM, whose certificates hosts may show; who shows a certificate of "
        "another authority is then refused by TLS, and who shows none is served as ever"
    ),
    "hosts.names": (
        "the names of hosts whose certificates count; `*` stands for a part of one label, as in"
        " `login*.example.org`"
    ),
    "hosts.groups.<name>": (
        "the names of hosts, written alike, for which people may order as a group"
    ),
    "notify.mail.server": (
        "the mail server through which people are told in time; `notify.mail` may be left out"
    ),
    "notify.mail.sender": "the address that mails come from",
    "notify.mail.port": "the server's port",
    "notify.mail.security": (
        "`starttls`, or `tls` from the first byte (port 465), both with the certificate "
        "checked; `none` on a loopback address only"
    ),
    "notify.mail.ca_file": "authorities to trust for it, PEM; none means the system's",
    "notify.mail.user": "whom the broker logs in as there; none means that it does not",
    "notify.mail.password_file": "the file with that user's password",
    "notify.mail.seconds": "how long handing over one mail may take; 60 at the most",
    "notify.webhook.url": (
        "the address that an operator's program is told at; `notify.webhook` may be left out"
    ),
    "notify.webhook.secret_file": "the file with the secret that events are signed with",
    "notify.webhook.ca_file": "authorities to trust for it, PEM; none means the system's",
    "notify.webhook.seconds": "how long an answer is waited for; 60 at the most",
    "notify.most_per_minute": "of how many logins a replica tells in a minute at the most",
    "log.level": "`debug`, `info`, `warning` or `error`",
}
