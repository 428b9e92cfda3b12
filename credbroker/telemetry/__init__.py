"""Says what happened, without secrets, and looks for secrets where none may be."""
