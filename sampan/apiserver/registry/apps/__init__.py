"""Strategies of apps/v1: deployments, replica sets, stateful sets, daemon sets, controller revisions."""
