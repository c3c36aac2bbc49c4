"""The store: the backend contract, its implementations, and the watch cache in front of each."""
