"""The scheduler: Kubernetes' scheduling framework over arrays."""

from sampan.scheduler.options import SchedulerOptions
from sampan.scheduler.scheduler import Scheduler

__all__ = ["Scheduler", "SchedulerOptions"]
