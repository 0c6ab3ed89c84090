"""Runs candidates over examples; statistics."""
