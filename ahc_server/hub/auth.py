"""Who may finish the CURVE handshake: everyone who knows the server's key, or the listed keys only.

libzmq asks by ZAP (RFC 27) for each connection; pyzmq's authenticator answers in a thread of its own and stamps the
public key on every frame of the connection as its ``User-Id``.
"""

from __future__ import annotations

import logging
from collections import Counter

import zmq
from zmq.auth.thread import ThreadAuthenticator

_log = logging.getLogger("ahc.hub")

#: Refused keys that are remembered, so that each is logged once.
_REMEMBERED = 1000


class Gate:
    """Answers libzmq's question. ``authorized_keys`` None admits every key.

    Refused handshakes are counted in ``stats`` as "unauthorized".
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        authorized_keys: frozenset[str] | None,
        stats: Counter[str],
    ) -> None:
        self.authorized_keys = authorized_keys
        self._stats = stats
        self._logged: set[str] = set()
        self._thread = ThreadAuthenticator(context)
        self._thread.start()
        self._thread.configure_curve_callback(domain="*", credentials_provider=self)

    def callback(self, domain: str, key: bytes) -> bool:
        """pyzmq's question, asked in its thread: may this public key (Z85) in?"""
        text = key.decode("ascii")
        if self.authorized_keys is None or text in self.authorized_keys:
            return True
        self._stats["unauthorized"] += 1
        if text not in self._logged and len(self._logged) < _REMEMBERED:
            self._logged.add(text)
            _log.warning("agent key %s is not in the list of authorized keys: refused", text)
        return False

    def close(self) -> None:
        self._thread.stop()
