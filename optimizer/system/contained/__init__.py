"""Runs code that nobody vouches for in a process of its own, which the kernel keeps from files, network and others."""
