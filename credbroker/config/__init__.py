"""Turns a folder of files into one frozen, checked tree of settings, or names the wrong key."""
