"""The gate: may this fleet, or this node, be deployed? A policy and a session in, open, closed or cannot tell out."""
