"""Local models, their server, and the way to every provider."""
