"""What each port promises, tried on everything that stands behind it, the fakes included."""
