# What the mount keeps and demands is checked at every start; the operator alone sets it.
path "credbroker/config" { capabilities = ["read"] }

path "credbroker/data/grants/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/leases/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/logins/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/issuers/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/replicas/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/marks/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/revocations/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/narrow/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/ssh/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/people/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/hosts/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/sessions/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/announced/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/deliveries/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/signing/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/issued/*" { capabilities = ["create", "update", "read"] }
path "credbroker/data/notices/*" { capabilities = ["create", "update", "read"] }

# A grant that has ended is overwritten, never deleted.
path "credbroker/metadata/grants/*" { capabilities = ["read", "list"] }

# What has ended of leases, logins, narrow tokens, deliveries and notices is cleared away whole.
path "credbroker/metadata/leases/*" { capabilities = ["read", "list", "delete"] }
path "credbroker/metadata/logins/*" { capabilities = ["read", "list", "delete"] }
path "credbroker/metadata/narrow/*" { capabilities = ["read", "list", "delete"] }
path "credbroker/metadata/issued/*" { capabilities = ["read", "list", "delete"] }
path "credbroker/metadata/sessions/*" { capabilities = ["read", "list", "delete"] }
path "credbroker/metadata/announced/*" { capabilities = ["read", "list", "delete"] }
path "credbroker/metadata/deliveries/*" { capabilities = ["read", "list", "delete"] }
path "credbroker/metadata/notices/*" { capabilities = ["read", "list", "delete"] }

# A few small records each, which stay.
path "credbroker/metadata/issuers/*" { capabilities = ["read", "list"] }
path "credbroker/metadata/replicas/*" { capabilities = ["read", "list"] }

# Its own login, in place of the built-in default policy, which costs OpenBao more than the work.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }

# For a community with `keys.transit: transit`, whose signing keys never leave OpenBao/Vault. What may
# be done with a key lies below it (config, export), where this does not reach.
# path "transit/keys/+" { capabilities = ["create", "update", "read"] }
# path "transit/sign/+" { capabilities = ["update"] }
