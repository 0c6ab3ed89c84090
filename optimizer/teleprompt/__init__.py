"""DSPy's own optimizers as strategies of a run."""
