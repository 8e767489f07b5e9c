"""The conductor: a plan and its nodes, step by step, whatever happens to the nodes."""

from ahc_server.conductor.conductor import Conductor, late_result
from ahc_server.conductor.model import Now, Output, Send

__all__ = ["Conductor", "Now", "Output", "Send", "late_result"]
