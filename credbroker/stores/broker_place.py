"""What a broker needs of an OpenBao or Vault: its engine, its policy, its login.

It is written down once: the demo's server is told it at its first start, and `credbroker admin
vault-setup` makes it on a site's own. The policy reaches the broker's own records and nothing else.
Grants are never deleted: their versions would start again at 1, and the check-and-set of somebody who
paused before the deletion would hit the next person's record. Nothing in the policy may change what the
mount keeps (`max_versions`) or demands (`cas_required`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

POLICY_NAME = "credbroker-broker"
ROLE_NAME = "credbroker"

_TEMPLATE = """\
# What the mount keeps and demands is checked at every start; the operator alone sets it.
path "{mount}/config" {{ capabilities = ["read"] }}

path "{mount}/data/grants/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/leases/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/logins/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/issuers/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/replicas/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/marks/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/revocations/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/narrow/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/ssh/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/people/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/hosts/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/sessions/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/announced/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/deliveries/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/signing/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/issued/*" {{ capabilities = ["create", "update", "read"] }}
path "{mount}/data/notices/*" {{ capabilities = ["create", "update", "read"] }}

# A grant that has ended is overwritten, never deleted.
path "{mount}/metadata/grants/*" {{ capabilities = ["read", "list"] }}

# What has ended of leases, logins, narrow tokens, deliveries and notices is cleared away whole.
path "{mount}/metadata/leases/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/logins/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/narrow/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/issued/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/sessions/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/announced/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/deliveries/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/notices/*" {{ capabilities = ["read", "list", "delete"] }}

# A few small records each, which stay.
path "{mount}/metadata/issuers/*" {{ capabilities = ["read", "list"] }}
path "{mount}/metadata/replicas/*" {{ capabilities = ["read", "list"] }}

# Its own login, in place of the built-in default policy, which costs OpenBao more than the work.
path "auth/token/lookup-self" {{ capabilities = ["read"] }}
path "auth/token/renew-self" {{ capabilities = ["update"] }}
path "auth/token/revoke-self" {{ capabilities = ["update"] }}

"""
_TRANSIT_NOTE = """\
# For a community with `keys.transit: transit`, whose signing keys never leave OpenBao/Vault. What may
# be done with a key lies below it (config, export), where this does not reach.
"""
_TRANSIT = """\
path "{transit}/keys/+" {{ capabilities = ["create", "update", "read"] }}
path "{transit}/sign/+" {{ capabilities = ["update"] }}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an OpenBao/Vault a broker has its own, by the names of the mounts.

    `approle` is None where the broker logs in another way; `transit` are the engines that keep its
    communities' signing keys, if any do.
    """

    mount: str = "credbroker"
    approle: str | None = "approle"
    transit: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a broker needs there: the request, a POST to `path`, that makes it or mends it."""

    name: str
    path: str
    body: Mapping[str, object]


def broker_policy(mount: str, transit: tuple[str, ...] = ()) -> str:
    """Return the broker's policy as HCL text, for the KV version 2 engine mounted at `mount`.

    Without an engine in `transit`, the lines for one stand there as a comment.
    """
    engines = [_TRANSIT.format(transit=one) for one in transit]
    lines = engines or [
        re.sub("^", "# ", _TRANSIT.format(transit="transit").rstrip(), flags=re.MULTILINE)
    ]
    return _TEMPLATE.format(mount=mount) + _TRANSIT_NOTE + "\n".join(lines).rstrip() + "\n"


def parts(place: Place) -> list[Part]:
    """Return all that is needed there, in the order in which it can be made."""
    return [
        Part("mount", f"sys/mounts/{place.mount}", {"type": "kv", "options": {"version": "2"}}),
        *(Part("transit", f"sys/mounts/{one}", {"type": "transit"}) for one in place.transit),
        Part(
            "policy",
            f"sys/policies/acl/{POLICY_NAME}",
            {"policy": broker_policy(place.mount, place.transit)},
        ),
        *(_login(place.approle) if place.approle is not None else []),
        # Last, because a new KV mount refuses requests for its first milliseconds.
        Part("keep", f"{place.mount}/config", {"max_versions": 1, "cas_required": True}),
    ]


def _login(mount: str) -> list[Part]:
    rights = {
        "token_policies": [POLICY_NAME],
        # The default policy is evaluated on every request and halves the server's rate.
        "token_no_default_policy": True,
        # It is renewed, which a batch token cannot be.
        "token_type": "service",
        "token_ttl": 3600,
        "token_max_ttl": 86400,
    }
    return [
        Part("approle", f"sys/auth/{mount}", {"type": "approle"}),
        Part("role", f"auth/{mount}/role/{ROLE_NAME}", rights),
    ]
