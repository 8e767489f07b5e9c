"""What matching found, in the forms that registrations of machines take: Ironic, TripleO's nodes.json, Metal3.

Each form is a pure function from :class:`Material` to :class:`Drawn`; sending is another room (``ironic_api``). Nothing here
writes to a machine.
"""

from __future__ import annotations

from collections.abc import Callable

from ahc_server.export import instackenv, ironic, metal3, rules
from ahc_server.export.material import Drawn, Material

#: ``ahc match --format`` → what draws it.
FORMATS: dict[str, Callable[[Material], Drawn]] = {
    "ironic": ironic.draw,
    "ironic-rules": rules.draw,
    "instackenv": instackenv.draw,
    "metal3": metal3.draw,
}

__all__ = ["FORMATS", "Drawn", "Material"]
