"""Strategies of resource.k8s.io/v1: dynamic resource allocation."""
