"""Pod specs: defaults, validation and warnings, shared by pods and by everything that holds a pod template."""
