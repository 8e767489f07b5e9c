"""The agent as the only program of a machine: from the kernel's hand-over to the server, and to the machine's end."""
