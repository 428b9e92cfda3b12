"""An access point's credmon: HTCondor's files in, fresh tokens for its jobs out."""
