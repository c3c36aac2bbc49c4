"""Authorization: one module per authorizer."""
