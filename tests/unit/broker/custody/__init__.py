"""The deeds, against fakes that fail, wait and come too late."""
