"""Tasks: fields, examples, splits, metrics."""
