"""What controllers run on: the manager, reconcilers, leader election, the event recorder."""

from sampan.runtime.controller import Controller, add_batched, enqueue, request_of
from sampan.runtime.events import EventBroadcaster, EventRecorder
from sampan.runtime.interface import DONE, Reconciler, Request, Result
from sampan.runtime.leaderelection import ElectionOptions, LeaderElector
from sampan.runtime.manager import Manager

__all__ = [
    "DONE",
    "Controller",
    "ElectionOptions",
    "EventBroadcaster",
    "EventRecorder",
    "LeaderElector",
    "Manager",
    "Reconciler",
    "Request",
    "Result",
    "add_batched",
    "enqueue",
    "request_of",
]
