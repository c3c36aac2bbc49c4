"""Strategies of certificates.k8s.io/v1: certificate signing requests."""
