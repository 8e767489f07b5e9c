"""``python -m ahc_agent.boot``: what init of a discovery ramdisk calls."""

from __future__ import annotations

import sys

from ahc_agent.boot.start import boot
from ahc_agent.errors import UsageError

if __name__ == "__main__":
    try:
        boot()
    except UsageError as error:  # not a ramdisk; whoever calls this anywhere else is a person
        print(f"python -m ahc_agent.boot: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
