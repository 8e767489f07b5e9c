"""The network: which card, cable, switch or path is bad, from flows between pairs of nodes. Pure: arrays in, culprits out.

::

    model       flows of rounds in, culprits out
    silence     where nothing comes through at all
    racks       who hangs on one switch, where nobody told
    levels      what is usual for a flow of its kind
    noise       how far healthy flows stray
    families    the elements that could be bad, and how well each explains what is slow
    explain     the fewest elements that explain the data
    caps        cards that keep to a limit, where the load makes all flows differ
    doubt       what few flows cannot prove, as they tell little of their own noise
    kinds       cards of another kind, of which there are too many to be broken
    paths       single pairs that nothing else explains
    localiser   one explanation of the rates, and one of the round trips
    culprits    all of it together: who is named, with which direction and effect

See ``docs/network.md``.
"""

from __future__ import annotations

from ahc_server.judge.localise.culprits import localise
from ahc_server.judge.localise.model import Answer, Culprit, Flows, Network, Own

__all__ = ["Answer", "Culprit", "Flows", "Network", "Own", "localise"]
