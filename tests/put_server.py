"""A web server for one folder: GET of what is there, PUT of what is not. A program: ``put_server.py ADDRESS PORT FOLDER``."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[3])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = FOLDER / Path(self.path).name
        if not path.is_file():
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(path.read_bytes())

    def do_PUT(self) -> None:
        """The first attempt fails where the folder holds a file "busy", which is taken away then."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        busy = FOLDER / "busy"
        if busy.exists():
            busy.unlink()
            self.send_error(503)
            return
        (FOLDER / Path(self.path).name).write_bytes(data)
        self.send_response(201)
        self.end_headers()


HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
