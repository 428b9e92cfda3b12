"""Lets people in, each by a proof of theirs: a device login, a browser, a ticket, an ssh key."""
