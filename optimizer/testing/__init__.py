"""Shipped for tests: a fake model server, synthetic tasks."""
