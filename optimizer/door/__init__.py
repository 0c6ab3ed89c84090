"""The one door for every model call."""
