"""The error of everything that goes wrong with a volume."""

from __future__ import annotations

from sampan.base.errors import SampanError


class VolumeError(SampanError):
    """A volume cannot be set up; the text goes into the FailedMount event."""
