"""API aggregation: group-versions that other servers serve, behind this one's address, identity and rules."""
