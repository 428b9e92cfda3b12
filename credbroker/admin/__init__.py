"""What operators do beside `serve`: measure an issuer, release its brake, sort a restored Vault."""
