"""For tests against Kubernetes: clusters in the process of the test, and fakes."""

from sampan.base.clock import FakeClock
from sampan.testing.cluster import Cluster
from sampan.testing.fake import FakeTransport

__all__ = ["Cluster", "FakeClock", "FakeTransport"]
