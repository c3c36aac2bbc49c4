"""Strategies of the core group: pods, services, nodes and the rest of v1."""
