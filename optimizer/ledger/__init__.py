"""The one truth: every call, trial and score of a run."""
