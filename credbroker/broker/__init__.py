"""Carries out the deeds of the service by asking `domain` what is right and the ports to do it."""
