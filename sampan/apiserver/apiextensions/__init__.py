"""Custom resources: definitions turned into served resources, their strategy, conversion, columns and documents."""
