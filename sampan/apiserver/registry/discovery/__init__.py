"""Strategies of discovery.k8s.io/v1: endpoint slices."""
