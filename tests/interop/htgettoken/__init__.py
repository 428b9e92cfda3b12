"""The unmodified htgettoken 2.2 with its own parts, a broker beside it, and a person at a browser."""
