"""What every layer stands on: clock, tasks, logging, certificates, configuration. Knows nothing of Kubernetes."""
