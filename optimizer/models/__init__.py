"""Local models and their server, endpoints of every provider, prices, embeddings."""
