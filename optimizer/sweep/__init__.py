"""Many runs from one file: their cells, who plays them, what they may spend together, and their report."""
