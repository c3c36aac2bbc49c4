"""Admission: the chain, and one module per plug-in."""
