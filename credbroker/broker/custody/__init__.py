"""Uses refresh tokens, each once, and loses none: claims, posts, successors, and what goes wrong."""
