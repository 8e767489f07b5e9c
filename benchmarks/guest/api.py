"""Stands where Ironic's API would: says when it is first asked for anything, and knows nothing. Usage: api.py ADDRESS PORT."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Nothing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        print(f"asked for {self.path}", flush=True)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Said above."""


if __name__ == "__main__":
    HTTPServer((sys.argv[1], int(sys.argv[2])), Nothing).serve_forever()
