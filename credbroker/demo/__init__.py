"""Shows all of credbroker on one machine, with real parts: an issuer, a Vault, a broker, a job."""
