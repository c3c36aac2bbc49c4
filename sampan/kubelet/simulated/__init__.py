"""Nodes without containers: thousands of them in one process, whose pods go through their phases by the clock."""

from sampan.kubelet.simulated.options import SimulatedOptions
from sampan.kubelet.simulated.simulator import Simulator

__all__ = ["SimulatedOptions", "Simulator"]
