"""Strategies of autoscaling/v1 and v2: horizontal pod autoscalers."""
