"""The names of figures that others are worked out from."""

ES256_TOKENS = "tokens with ES256, against oidc-provider"
LEAST_TOKENS = "tokens with ES256, against the least that signs and writes down"
RS256_TOKENS = "tokens with RS256, against the signature alone"
ES256_BATCH = "batches of tokens signed with ES256 on one core"
RS256_BATCH = "batches of tokens signed with RS256 on one core"
REUSED = "where a client takes the token of the last minutes again, per second"
