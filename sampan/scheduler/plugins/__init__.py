"""The scheduler's in-tree plugins, one a module, and the default profile."""
