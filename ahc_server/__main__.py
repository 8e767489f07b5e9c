"""``ahc`` by ``python -m ahc_server``."""

from __future__ import annotations

from ahc_server.cli import main

if __name__ == "__main__":
    main()
