"""Strategies of batch/v1: jobs and cron jobs."""
