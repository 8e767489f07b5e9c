"""The server: gathers what agents say, judges it, and reports."""

from ahc_agent import __version__

__all__ = ["__version__"]
