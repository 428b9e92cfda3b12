"""Hosts and their orders, against fakes that fail, wait and come too late."""
