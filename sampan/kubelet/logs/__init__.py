"""Container logs: reading, following, rotating, removing."""
