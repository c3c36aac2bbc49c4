"""Measures an API server, and shows each figure as a share of what the machine could do at best (the bare limit).

``python -m bench`` starts a sampan server of its own; with ``--server URL --token T`` it measures any Kubernetes API
server that may be written to. Rows, targets and Kubernetes' own figures are those of the design (`rows`).
"""
