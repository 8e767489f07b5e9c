"""The agents' side of the server: one ROUTER socket, its peers, and what they say."""
