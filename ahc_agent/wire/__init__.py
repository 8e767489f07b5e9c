"""How agents and server talk: typed messages, their codec, keys, and the agent's end of the link."""
