"""Strategies of scheduling.k8s.io/v1: priority classes."""
