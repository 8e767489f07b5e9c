"""A small web server for one interface: it hands out the files of a boot folder, and takes results (PUT) where asked to.

What comes in is hostile. Only files of the table are read, whatever a path says; an upload has a bounded size and a plain name,
is written whole or not at all, and never takes the place of another. Requests that come in by another interface never arrive
(``SO_BINDTODEVICE``), even where they name this one's address.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import msgspec

#: A result of the largest machine is a few MiB.
UPLOAD_LIMIT_BYTES = 16 * 1024 * 1024
#: So many are read at the same time, each for so long at most: they stand in memory until they are known to be JSON.
_UPLOADS_AT_ONCE, _UPLOAD_S = 16, 120.0
#: So many uploads in a folder, and so many of one name, are enough.
_MOST_UPLOADS, _MOST_OF_A_NAME = 20_000, 100
#: Nobody may keep a thread longer without a word, and no more than so many get one.
_SILENCE_S = 30.0
_MOST_CONNECTIONS = 512

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_UPLOAD = re.compile(r"/uploads/([^/\x00-\x1f]{1,120})\.json")


@dataclass(frozen=True, slots=True)
class Site:
    """What is served. ``files``: path below ``prefix`` → file. ``uploads``: the folder for results, None takes none.

    ``say`` gets a sentence for each thing that happened, from any thread.
    """

    files: Mapping[str, Path]
    say: Callable[[str], None]
    prefix: str = ""
    uploads: Path | None = None


class Server(http.server.ThreadingHTTPServer):
    """Bound to one address of one interface; ``serve_forever`` in a thread of its own, ``shutdown`` ends it."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, interface: str, address: str, port: int, site: Site) -> None:
        """Raises OSError where the address cannot be bound."""
        self.interface = interface
        self.site = site
        self.lock = threading.Lock()
        self.uploads = threading.BoundedSemaphore(_UPLOADS_AT_ONCE)
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Without the name look-up of ``HTTPServer``: there is no name server here."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode())
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), self.socket.getsockname()[1]

    def process_request(self, request: object, client_address: object) -> None:
        if not self._places.acquire(blocking=False):
            self.site.say(f"{_host(client_address)}: turned away, {_MOST_CONNECTIONS} connections are open")
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that ends between requests is no news; anything else is said in a line."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.site.say(f"{_host(client_address)}: {type(error).__name__}: {error}")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "ahc"
    sys_version = ""
    timeout = _SILENCE_S

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_PUT(self) -> None:
        found = _UPLOAD.fullmatch(unquote(self.path.removeprefix(self.server.site.prefix)))
        folder = self.server.site.uploads
        if folder is None or found is None:
            self._refuse(HTTPStatus.FORBIDDEN, "nothing can be put here")
            return
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,12}", length):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "its length is not said")
            return
        if int(length) > UPLOAD_LIMIT_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {UPLOAD_LIMIT_BYTES >> 20} MiB")
            return
        # Serial numbers hold anything; in a file's name they are told by letters, digits, dots and dashes. A file that is hidden
        # would never be imported.
        with self.server.uploads:
            name = re.sub(r"[^A-Za-z0-9._\-]", "_", found[1]).lstrip(".")
            self._take(folder, name or "unknown", int(length))

    # ── files ──────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, *, body: bool) -> None:
        site = self.server.site
        path = self.path.partition("?")[0]
        name = path.removeprefix(f"{site.prefix}/") if path.startswith(f"{site.prefix}/") else ""
        if name not in site.files:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such file")
            return
        try:
            file = site.files[name].open("rb")
        except OSError as error:
            self._refuse(HTTPStatus.NOT_FOUND, f"{name} cannot be read: {error.strerror}")
            return
        with file:
            self._send(name, file, body=body)

    def _send(self, name: str, file: BinaryIO, *, body: bool) -> None:
        size = os.fstat(file.fileno()).st_size
        part = byte_range(self.headers.get("Range"), size)
        if part is None:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, count = part
        whole = count == size
        self.send_response(HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT)
        if not whole:
            self.send_header("Content-Range", f"bytes {first}-{first + count - 1}/{size}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(count))
        self.end_headers()
        if body:
            begun = time.monotonic()
            try:
                sent = self.connection.sendfile(file, first, count) if count else 0
            except OSError as error:
                self.close_connection = True
                self._say(f"stopped in the middle of {name}: {error.strerror or error}")
                return
            self._say(f"fetched {name} ({_size(sent)}, {time.monotonic() - begun:.1f} s)")

    # ── results ────────────────────────────────────────────────────────────────────────────────────

    def _take(self, folder: Path, name: str, length: int) -> None:
        data = self._body(length)
        if len(data) < length:
            self.close_connection = True
            self._say(f"went away in the middle of {name}.json")
            return
        if not is_json(data):
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, "it is not JSON", read=True)
            return
        try:
            with self.server.lock:
                kept = keep(folder, name, data)
        except OSError as error:
            self._refuse(
                HTTPStatus.INSUFFICIENT_STORAGE, f"it cannot be kept: {error.strerror or error}", read=True
            )
            return
        self._say(f"sent its result, kept as {kept.name} ({_size(length)})")
        self.send_response(HTTPStatus.CREATED)
        self.send_header("Content-Location", f"{self.server.site.prefix}/uploads/{kept.name}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self, length: int) -> bytes:
        """So much of the request's body as comes in time."""
        deadline = time.monotonic() + _UPLOAD_S
        data = bytearray()
        while len(data) < length and time.monotonic() < deadline:
            part = self.rfile.read1(length - len(data))
            if not part:
                break
            data += part
        return bytes(data)

    # ── both ───────────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, status: HTTPStatus, why: str, *, read: bool = False) -> None:
        """``read``: the request's body was read, and the connection can go on."""
        self._say(f"asked {self.command} {self.path[:120]!a}: {why}")
        body = f"{why}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if not read and self.command not in ("GET", "HEAD"):
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _say(self, what: str) -> None:
        self.server.site.say(f"{_host(self.client_address)}: {what}")

    def log_message(self, format: str, *args: object) -> None:
        """Sentences are said where things happen; what ``http.server`` itself refuses is said here."""

    def log_error(self, format: str, *args: object) -> None:
        self._say((format % args)[:200].encode("ascii", "backslashreplace").decode())


def is_json(data: bytes) -> bool:
    """Whether it is one JSON value. Nothing is made of it: 16 MiB of empty objects would take half a gigabyte each time."""
    try:
        data.decode()
        msgspec.json.decode(data, type=msgspec.Raw)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return False
    return True


def keep(folder: Path, name: str, data: bytes) -> Path:
    """Write ``NAME.json``, or ``NAME.2.json`` and so on where one of that name is there: a machine may report twice. The same
    bytes again are not kept again: an answer that got lost makes a machine send once more. Raises OSError."""
    if sum(1 for _ in folder.iterdir()) >= _MOST_UPLOADS:
        raise OSError(f"{_MOST_UPLOADS} results are there already")
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        for number in range(1, _MOST_OF_A_NAME + 1):
            target = folder / (f"{name}.json" if number == 1 else f"{name}.{number}.json")
            try:
                os.link(temporary, target, follow_symlinks=False)
            except FileExistsError:
                if _same(target, data):
                    return target
                continue
            return target
        raise OSError(f"{_MOST_OF_A_NAME} results of {name} are there already")
    finally:
        Path(temporary).unlink()


def _same(path: Path, data: bytes) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return os.fstat(file.fileno()).st_size == len(data) and (
            hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(data).digest()
        )
    return False


def byte_range(asked: str | None, size: int) -> tuple[int, int] | None:
    """First byte and count of one range (RFC 9110, 14.2); the whole where none is asked, or several are. None: there are none."""
    found = _RANGE.fullmatch(asked.strip()) if asked else None
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        count = min(int(found[2]), size)
        return (size - count, count) if count else None
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return 0, size
    return (first, last - first + 1) if first < size else None


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count} bytes"


def _host(client: object) -> str:
    return str(client[0]) if isinstance(client, tuple) and client else "somebody"
