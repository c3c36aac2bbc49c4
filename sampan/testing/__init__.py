"""For tests against Kubernetes: clusters in the process of the test, and fakes."""
