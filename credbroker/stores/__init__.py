"""Keeps grants, leases and waiting logins in OpenBao or Vault."""
