"""``python -m ahc_agent.boot``: what init of a discovery ramdisk calls."""

from __future__ import annotations

from ahc_agent.boot.start import boot

if __name__ == "__main__":
    boot()
