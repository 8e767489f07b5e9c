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

#: ``--session NAME``, as ``name``.
session_option = click.option(
    "--session", "name", metavar="NAME", default=None, help="Which session; by default the newest."
)

#: ``--output FILE``, for ``report.output.write_whole``.
output_option = click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write it here, whole or not at all, and not to standard output.",
)

#: How BMCs are asked: with whose password, how many at once, and for how long.
credentials_option = click.option(
    "--credentials",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="User and password (YAML, mode 0600) where the nodes file has none."
    " Default: AHC_BMC_USER and AHC_BMC_PASSWORD of the environment.",
)
at_once_option = click.option(
    "--at-once",
    type=click.IntRange(1, 1024),
    default=32,
    show_default=True,
    help="How many BMCs are asked at the same time.",
)
time_limit_option = click.option(
    "--time-limit",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one BMC may take.",
)
