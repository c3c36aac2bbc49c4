"""The node agent: pod workers, the runtime interface with its CRI implementation, volumes, probes, node status."""
