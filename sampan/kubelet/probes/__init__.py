"""Probes and hooks: the four kinds of check, and the workers that repeat them."""
