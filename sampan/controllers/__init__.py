"""kube-controller-manager's controllers, one reconciler a module.

`build` makes those that a `ControllerContext` asks for; `sampan.runtime.Manager` runs them.
"""

from sampan.controllers.context import ControllerContext, ControllerOptions
from sampan.controllers.registry import build, names

__all__ = ["ControllerContext", "ControllerOptions", "build", "names"]
