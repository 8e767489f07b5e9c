"""Pairwise network tests: bandwidth and round-trip times between two agents."""

from ahc_agent.net.pair import run_pair

__all__ = ["run_pair"]
