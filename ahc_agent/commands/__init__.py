"""The subcommands of ``ahc-agent``, one module each, imported only when called."""
