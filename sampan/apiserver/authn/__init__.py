"""Authentication: one module per method."""
