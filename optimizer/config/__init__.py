"""A run's settings: their schema, their defaults, and the YAML that they are read from."""
