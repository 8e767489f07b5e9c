"""What became of a fleet: two sessions side by side, a delivery beside a saved one, change points over many sessions.

::

    sessions ──▶ reading      each session's values as arrays, under its own names
             ──▶ machines     the same machine, the same disk in every session
             ──▶ aligned      one row a machine, one column a metric, one layer a session
             ──▶ pieces       like metrics of one piece of hardware joined to one number a node
             ──▶ compare      before and after
                 baseline     what a group was, kept for the next delivery
                 timeline     when something changed
             ──▶ model        the answers as data; ``draw`` writes them as text

Like the judge it is pure: no clock and no chance. Only ``folder`` reads and writes files.
"""
