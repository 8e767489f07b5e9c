"""``ahc-agent bench``: inventory and local benchmarks of this machine, no server."""

from __future__ import annotations

import sys
import threading
import time

import click

from ahc_agent.errors import CannotAnswer, UsageError

PARTS = ("cpu", "memory", "disk")


@click.command(epilog="Example: ahc-agent bench --only cpu,disk --budget 30 --format text")
@click.option(
    "--only",
    metavar="PARTS",
    default=",".join(PARTS),
    show_default=True,
    help="What to measure, separated by commas.",
)
@click.option(
    "--budget",
    metavar="SECONDS",
    type=click.FloatRange(min=1.0),
    default=None,
    help="Take no longer than this in all; it is shared over the benchmarks. Default: each as long as it needs, 10 s at most.",
)
@click.option(
    "--disk",
    "disks",
    metavar="[NAME=]PATH",
    multiple=True,
    help="Measure this disk and no others (repeatable). Disks are only read.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "text"]),
    default="json",
    show_default=True,
    help="JSON (ahc.bench/1: inventory and measurements) or text for people.",
)
def command(only: str, budget: float | None, disks: tuple[str, ...], form: str) -> None:
    """Measure this machine's CPUs (sysbench), memory (sysbench) and disks (fio, reading only).

    A benchmark stops when the 95 % confidence interval of its mean is within 1 %. What could not be measured is in
    the answer with the reason. Ends with 3 where nothing at all could be measured.
    """
    begun = time.monotonic()
    parts = parse_parts(only)

    import msgspec

    from ahc_agent.bench import standalone, text
    from ahc_agent.commands.join import parse_disks
    from ahc_agent.task import TaskContext

    cancelled = threading.Event()
    context = TaskContext(cancelled=cancelled, only_disks=parse_disks(disks), progress=_progress())
    try:
        answer = standalone.run(parts, budget, context, begun)
    finally:
        cancelled.set()
        _clear()
    if form == "text":
        click.echo(text.render(answer), nl=False)
    else:
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2))
    if all(each.value is None for each in answer.measurements):
        reasons = "; ".join(dict.fromkeys(each.error or "" for each in answer.measurements[:3]))
        raise CannotAnswer(f"nothing could be measured ({reasons or 'there is no such part here'})")


def parse_parts(only: str) -> tuple[str, ...]:
    """The parts of ``--only``, in the order in which they are measured."""
    wanted = {word.strip() for word in only.split(",") if word.strip()}
    unknown = sorted(wanted - set(PARTS))
    if unknown or not wanted:
        wrong = f"{', '.join(unknown)!r} is none of them" if unknown else "nothing is asked for"
        raise UsageError(f"--only {only}: {wrong}; choose from {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in wanted)


class _progress:
    """One line on standard error that is written over, on a terminal only."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def __call__(self, fraction: float, note: str) -> None:
        if self._terminal:
            click.echo(f"\r\033[K{fraction:4.0%} {note}", err=True, nl=False)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
