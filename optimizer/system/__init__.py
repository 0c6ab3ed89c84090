"""The process and its files: secrets kept out, child processes, whole writes."""
