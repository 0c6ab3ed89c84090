"""Proposers of instructions and demo sets."""
