"""Strategies of policy/v1: pod disruption budgets."""
