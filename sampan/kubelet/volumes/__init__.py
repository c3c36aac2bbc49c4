"""Volumes of pods on this node: set up, kept up to date, taken down."""

from sampan.kubelet.volumes.manager import VolumeManager

__all__ = ["VolumeManager"]
