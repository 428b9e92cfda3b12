"""Lets a submit to HTCondor go through: logs in, tries out what is asked for, and stores it."""
