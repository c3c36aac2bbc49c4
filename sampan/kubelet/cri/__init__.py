"""The container runtime over CRI: gRPC enters here and nowhere else in the kubelet."""

from sampan.kubelet.cri.client import CRIRuntime

__all__ = ["CRIRuntime"]
