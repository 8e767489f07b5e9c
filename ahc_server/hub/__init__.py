"""The server's end of the wire: who is connected, and what they say."""

from ahc_server.hub.events import Event, Joined, Lost, Said
from ahc_server.hub.hub import Hub

__all__ = ["Event", "Hub", "Joined", "Lost", "Said"]
