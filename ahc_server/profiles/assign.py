"""Which node serves in which profile: the best answer for the whole fleet, not first come, first served.

What is best, the first that differs decides:

1. minimum quotas are filled, those of higher priority first,
2. as many nodes as possible are placed,
3. profiles of higher priority get as many as they may have; one whose quota is ``rest`` comes after all others,
4. nodes that fit fewer profiles are taken first, and equal ones in the order of their ids.

The sets of slots that can be filled at once are the independent sets of a transversal matroid (Edmonds and Fulkerson 1965), so
filling slot after slot in that order, each by an augmenting path, is optimal in 1, 2 and 3: a slot once filled stays filled, and
one that cannot be filled now cannot be filled later.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ahc_server.profiles.profile import Quota

FREE = -1


def assign(fits: NDArray[np.bool_], quotas: Sequence[Quota]) -> list[int]:
    """For each node its profile, ``FREE`` for none.

    ``fits`` (n, p): nodes in the order in which equal ones are taken, profiles in the order of precedence.
    """
    fleet = _Fleet(fits)
    everybody = len(fits)
    mosts = [everybody if quota.most is None else min(quota.most, everybody) for quota in quotas]
    for profile, quota in enumerate(quotas):
        fleet.fill(profile, min(quota.least, mosts[profile]))
    for is_rest in (False, True):
        for profile, quota in enumerate(quotas):
            if quota.is_rest == is_rest:
                fleet.fill(profile, mosts[profile])
    return [int(place) for place in fleet.places[np.argsort(fleet.order)]]


class _Fleet:
    """Nodes and where they are placed. Row ``p`` of ``counts`` is for those that are free."""

    def __init__(self, fits: NDArray[np.bool_]) -> None:
        # Nodes with the fewest alternatives come first, so that the first that is found is the one to take.
        self.order = np.argsort(fits.sum(axis=1), kind="stable")
        self.fits = fits[self.order]
        self.profiles = fits.shape[1]
        self.places = np.full(len(fits), FREE, dtype=np.int64)
        #: counts[q, k]: how many nodes at k (last: free) fit q.
        self.counts = np.zeros((self.profiles, self.profiles + 1), dtype=np.int64)
        self.counts[:, FREE] = self.fits.sum(axis=0)
        self.held = np.zeros(self.profiles, dtype=np.int64)

    def fill(self, profile: int, wanted: int) -> None:
        """Give a profile nodes until it has as many as wanted, or no more can be found without taking one from another."""
        while self.held[profile] < wanted:
            free = np.flatnonzero((self.places == FREE) & self.fits[:, profile])
            if len(free):
                for node in free[: wanted - int(self.held[profile])].tolist():
                    self._move(node, profile)
            elif not self._augment(profile):
                return

    def _augment(self, profile: int) -> bool:
        """Take a node from another profile, which takes one from a third, and so on to a free node: the shortest such way."""
        taker_of = {profile: profile}
        queue = [profile]
        for taker in queue:
            if self.counts[taker, FREE]:
                giver = FREE
                while True:
                    first = int(np.argmax((self.places == giver) & self.fits[:, taker]))
                    self._move(first, taker)
                    if taker == profile:
                        return True
                    giver, taker = taker, taker_of[taker]
            for giver in np.flatnonzero(self.counts[taker, : self.profiles]).tolist():
                if giver not in taker_of:
                    taker_of[giver] = taker
                    queue.append(giver)
        return False

    def _move(self, node: int, to: int) -> None:
        fits, left = self.fits[node], int(self.places[node])
        self.counts[:, left] -= fits
        self.counts[:, to] += fits
        self.places[node] = to
        self.held[to] += 1
        if left != FREE:
            self.held[left] -= 1
