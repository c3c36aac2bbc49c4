"""The registry: one generic implementation of every verb, and a strategy per kind for what differs."""
