"""The pages for people, and what makes them: `generate` from the code, `conf` for a browser."""
