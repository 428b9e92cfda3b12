"""HTCondor's vault credmon as it is, an old HTVault and a broker beside it, an access point."""
