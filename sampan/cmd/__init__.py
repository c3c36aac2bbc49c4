"""The command line: assembles the components into processes and the processes into a cluster."""
