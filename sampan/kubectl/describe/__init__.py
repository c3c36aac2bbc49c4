"""`kubectl describe`: objects in detail, with what belongs to them and their events."""
