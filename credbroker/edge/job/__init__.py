"""One job, in a sandbox: one token file, kept fresh with the standard library alone."""
