"""HTTP, as far as a machine without a server needs it: fetch a plan, deliver a result by PUT.

Certificates are verified where the address is https. No proxy, and no redirects for PUT: a result goes where the operator said.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request

from ahc_agent.errors import AhcError

#: For each step (connect, each read): whoever is silent longer is away.
_SILENCE_S = 20.0
#: For the whole answer: whoever sends a byte now and then is away as well.
_ANSWER_S = 120.0
_AT_ONCE = 65536


class WebError(AhcError):
    """Nothing was fetched or delivered; the text says why."""


def fetch(url: str, limit_bytes: int) -> bytes:
    """What stands at an address. Raises WebError, also where it is longer than ``limit_bytes`` or was cut short."""
    data = _ask(urllib.request.Request(url, headers={"User-Agent": "ahc-agent"}), limit_bytes + 1)
    if len(data) > limit_bytes:
        raise WebError(f"{url}: longer than {limit_bytes} bytes")
    return data


def put(url: str, data: bytes) -> None:
    """Deliver by HTTP PUT; any answer 2xx is a success, whatever its body. Raises WebError."""
    headers = {"User-Agent": "ahc-agent", "Content-Type": "application/json"}
    _ask(urllib.request.Request(url, data, headers, method="PUT"), 0)


def target(url: str, name: str) -> str:
    """Where a result goes: an address that ends in a slash gets its name."""
    return f"{url}{name}" if url.endswith("/") else url


def _ask(request: urllib.request.Request, most_bytes: int) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_SILENCE_S) as answer:
            return _read(answer, most_bytes)
    except urllib.error.HTTPError as error:
        with error:
            raise WebError(f"{request.full_url}: the web server says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise WebError(f"{request.full_url}: {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WebError(f"{request.full_url}: {error or type(error).__name__}") from error


def _read(answer: http.client.HTTPResponse, most_bytes: int) -> bytes:
    """The body, ``most_bytes`` of it at most. Raises WebError; ``read`` itself calls a body whole that was cut short."""
    until_s = time.monotonic() + _ANSWER_S
    found = b""
    while len(found) < most_bytes and (more := answer.read1(min(_AT_ONCE, most_bytes - len(found)))):
        found += more
        if time.monotonic() > until_s:
            raise WebError(f"{answer.geturl()}: {len(found)} bytes in {_ANSWER_S:.0f} s; given up")
    missing = answer.length
    if len(found) < most_bytes and missing:
        raise WebError(f"{answer.geturl()}: cut short, {missing} bytes are missing")
    return found
