"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ahc_server.judge.thresholds import Tables


def _read(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Tables | None:
    """The limits of a file. What reads them is loaded only where there is one. Raises FileFormatError."""
    if path is None:
        return None
    from ahc_server.limits import read_limits

    return read_limits(path)


#: ``--limits FILE``: read at once, so that a mistake in it ends the command before anything is done.
limits_option = click.option(
    "--limits",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    callback=_read,
    help="What a difference must be to matter (YAML, like profiles/limits.yaml). By default the shipped limits.",
)
