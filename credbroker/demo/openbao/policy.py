"""The policy under which the broker's Vault login may work.

It reaches the broker's own records and nothing else. Grants are never deleted: their versions
would start again at 1, and the check-and-set of somebody who paused before the deletion would hit
the next person's record. Nothing here may change what the mount keeps (`max_versions`) or demands
(`cas_required`).
"""

from __future__ import annotations

POLICY_NAME = "credbroker-broker"

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

# A grant that has ended is overwritten, never deleted.
path "{mount}/metadata/grants/*" {{ capabilities = ["read", "list"] }}

# What has ended of leases, logins, narrow tokens and deliveries is cleared away whole.
path "{mount}/metadata/leases/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/logins/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/narrow/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/issued/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/sessions/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/announced/*" {{ capabilities = ["read", "list", "delete"] }}
path "{mount}/metadata/deliveries/*" {{ capabilities = ["read", "list", "delete"] }}

# A few small records each, which stay.
path "{mount}/metadata/issuers/*" {{ capabilities = ["read", "list"] }}
path "{mount}/metadata/replicas/*" {{ capabilities = ["read", "list"] }}

# Its own login, in place of the built-in default policy, which costs OpenBao more than the work.
path "auth/token/lookup-self" {{ capabilities = ["read"] }}
path "auth/token/renew-self" {{ capabilities = ["update"] }}
path "auth/token/revoke-self" {{ capabilities = ["update"] }}

# For a community with `keys.transit: transit`, whose signing keys never leave OpenBao/Vault. What may
# be done with a key lies below it (config, export), where this does not reach.
# path "transit/keys/+" {{ capabilities = ["create", "update", "read"] }}
# path "transit/sign/+" {{ capabilities = ["update"] }}
"""


def broker_policy(mount: str) -> str:
    """Return the broker's policy as HCL text, for the KV version 2 engine mounted at `mount`."""
    return _TEMPLATE.format(mount=mount)
