"""A prompt as other tools hold it."""
