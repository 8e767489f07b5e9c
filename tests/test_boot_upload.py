"""HTTP of a machine without a server: a web server that answers badly is told, and never believed by half."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ahc_agent.boot import upload
from ahc_agent.boot.upload import WebError, fetch, put


@contextmanager
def answering(data: bytes) -> Iterator[str]:
    """A web server on loopback whose every answer is these bytes; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(data)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/plan.json"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


@pytest.mark.parametrize("data", [WHOLE, CHUNKED, b"HTTP/1.0 200 OK\r\n\r\nhello"])
def test_an_answer_is_read_to_its_end(data: bytes) -> None:
    with answering(data) as url:
        assert fetch(url, 5) == b"hello"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (WHOLE[:-2], "cut short, 2 bytes are missing"),
        (CHUNKED[:-8], "IncompleteRead"),
        (WHOLE.replace(b": 5", b": 6") + b"!", "longer than 5 bytes"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the web server says 404 Not Found"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0-OpenSSH"),
        (b"", "Remote end closed connection"),
    ],
)
def test_an_answer_that_is_none_says_why(data: bytes, why: str) -> None:
    with answering(data) as url, pytest.raises(WebError, match=why):
        fetch(url, 5)


def test_who_sends_a_little_now_and_then_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_ANSWER_S", 0.0)
    with answering(WHOLE) as url, pytest.raises(WebError, match="given up"):
        fetch(url, 5)


@pytest.mark.parametrize("data", [WHOLE, WHOLE[:-2], CHUNKED[:-8], b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_a_result_is_delivered_once_the_web_server_says_so_whatever_follows(data: bytes) -> None:
    """Nobody would deliver the same for ever to a server that has it."""
    with answering(data) as url:
        put(url, b"result")


def test_a_result_is_not_delivered_where_the_web_server_says_no() -> None:
    answer = b"HTTP/1.1 507 Insufficient Storage\r\n\r\n"
    with answering(answer) as url, pytest.raises(WebError, match="the web server says 507"):
        put(url, b"result")
