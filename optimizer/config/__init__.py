"""What a run may be told, checked."""
