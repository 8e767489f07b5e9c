"""The subcommands of ``ahc``, one module each, imported only when called."""
