"""``ahc match`` with a format of others: what is registered is read, the answer drawn, kept or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from ahc_agent.errors import CannotAnswer, UsageError
from ahc_agent.facts import Inventory
from ahc_server.export import FORMATS, Material, ironic, ironic_api
from ahc_server.export.material import read_registered
from ahc_server.judge.wording import nodes_word
from ahc_server.profiles.model import Matches
from ahc_server.report.output import write_whole
from ahc_server.report.words import clean

#: Notes on one screen.
_MOST_NOTES = 20


def export(
    form: str,
    matches: Matches,
    inventories: Mapping[str, Inventory],
    *,
    registered: Path | None,
    output: Path | None,
    apply: bool,
) -> None:
    """Draw to standard output or to a file, notes to standard error; with ``apply`` send to Ironic what is drawn.

    Raises UsageError, FileFormatError, and CannotAnswer where Ironic cannot be asked or refused something.
    """
    if apply and form != "ironic":
        raise UsageError("--apply goes with --format ironic alone")
    material = Material(matches, inventories, read_registered(registered) if registered else None)
    if apply:
        if registered is not None:
            raise UsageError("--apply asks Ironic what is registered: leave --registered out")
        _apply(material)
        return
    if form == "ironic" and registered is None and ironic_api.configured():
        with ironic_api.connect() as connection:
            material = replace(material, registered=ironic_api.read(connection))
    drawn = FORMATS[form](material)
    _tell(drawn.notes)
    if output is None:
        click.echo(drawn.text, nl=False)
    else:
        write_whole(output, drawn.text, private=drawn.secret)


def _apply(material: Material) -> None:
    with ironic_api.connect() as connection:
        changes, notes = ironic.changes(replace(material, registered=ironic_api.read(connection)))
        _tell(notes)
        sent = ironic_api.send(connection, changes)
    for name, why in sent.refused.items():
        click.echo(f"ahc: {clean(name)}: Ironic refused: {clean(why)}", err=True)
    click.echo(f"{nodes_word(len(sent.changed))} changed in Ironic, {len(sent.refused):,} refused")
    if sent.refused:
        raise CannotAnswer(f"Ironic refused the changes of {nodes_word(len(sent.refused))}")


def _tell(notes: list[str]) -> None:
    for note in notes[:_MOST_NOTES]:
        click.echo(f"ahc: {clean(note)}", err=True)
    if len(notes) > _MOST_NOTES:
        click.echo(f"ahc: and {len(notes) - _MOST_NOTES} more notes", err=True)
