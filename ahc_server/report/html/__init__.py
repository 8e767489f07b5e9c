"""The report as one HTML file that needs nothing else: no network, no script, no font, no image.

::

    frame     what every page begins with
    page      the document: head, counts, groups, findings, notes
    network   who reached what with whom, racks, and what proves each finding (matrix, racks)
    rampup    jobs on ever more nodes at once: sum and mean against their number
    strips    per group and component, how far each node is from its peers, sheep marked, the bar drawn
    sheep     a section per sheep: findings, cause, its peers' distributions, its facts
    peers     one metric of a group as a small distribution, with a node's own value
    scale     the stretched axis that all strips share
    style     the sheet of style
    markup    elements, everything escaped

There is no template engine: pages are trees, and a function per element that escapes all that it is given is shorter than
templates, is type-checked, and cannot forget to escape.
"""

from ahc_server.report.html.page import draw_html

__all__ = ["draw_html"]
