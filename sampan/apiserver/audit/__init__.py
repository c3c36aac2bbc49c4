"""The audit log: which requests are recorded, how much of them, and where."""
