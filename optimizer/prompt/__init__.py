"""From a candidate to a program that runs, and to files."""
