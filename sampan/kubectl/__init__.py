"""sampan's own kubectl: kubectl's commands, flags, output and exit codes, over HTTPS and nothing else."""
