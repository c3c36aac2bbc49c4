"""Strategies of node.k8s.io/v1: runtime classes."""
