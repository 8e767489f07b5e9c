"""The conductor: a plan and its nodes, step by step, whatever happens to the nodes."""

from ahc_server.conductor.conductor import Conductor
from ahc_server.conductor.model import Now, Output, Send
from ahc_server.conductor.outcomes import late_result

__all__ = ["Conductor", "Now", "Output", "Send", "late_result"]
