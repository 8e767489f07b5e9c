"""``ahc-agent`` by ``python -m ahc_agent``."""

from __future__ import annotations

from ahc_agent.cli import main

if __name__ == "__main__":
    main()
