"""The network in a report: who reached what with whom, which racks there are, and what proves a finding.

::

    judgement ──▶ picture   the flows of a run beside what is usual for them, nodes sorted by leaf, what is named
              ──▶ levels    the steps of the scale that text and page share
              ──▶ matrix    source × destination, folded where there are too many nodes
              ──▶ racks     leaves with their nodes by verdict and the state of their uplinks
              ──▶ proof     of one finding: the flows that speak for it and those that speak against others
              ──▶ text      all of it in characters; ``report/html`` has the page's drawings

It decides nothing: what is usual comes from the localiser, what is bad from the findings.
"""
