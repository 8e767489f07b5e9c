"""Hand a request to the server and watch its session to the end: what ``ahc run`` and ``ahc confirm`` have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import click

from ahc_agent.errors import CannotAnswer, ServerAway, UsageError
from ahc_server.control import AnyReply, AnyRequest, Declined, Repeat, StatusOf, Submit, Submitted, ask
from ahc_server.paths import Where
from ahc_server.store.saved import Standing

POLL_S = 0.3
#: A server may be busy with its disk. Whoever gives up here does not know whether the plan runs.
_SUBMIT_LIMIT_S = 60.0


def submit(where: Where, request: Submit | Repeat, wait_s: float) -> tuple[str, list[str]]:
    """Hand it over; wait for nodes where more are needed. Answers the session and its machines."""
    deadline = time.monotonic() + wait_s
    said = ""
    while True:
        reply = ask(where.control, request, _SUBMIT_LIMIT_S)
        if isinstance(reply, Submitted):
            return reply.session, reply.machines
        if not isinstance(reply, Declined):
            raise ServerAway("the server answers nonsense: is it of the same version?")
        if not reply.later:
            raise (UsageError if reply.exit_code == 2 else CannotAnswer)(reply.reason)
        if time.monotonic() >= deadline:
            raise CannotAnswer(
                f"{reply.reason} after waiting for {wait_s:g} s (start more agents, or raise --wait-nodes)"
            )
        if reply.reason != said:
            said = reply.reason
            click.echo(f"waiting: {said}", err=True)
        time.sleep(POLL_S)


def follow(where: Where, session: str, give_up_s: float) -> Standing:
    """Watch a session until it is over; a server that is away may come back."""
    with ExitStack() as stack:
        show: Callable[[Standing], None] = _lines()
        if sys.stderr.isatty():
            show = _bar(stack)
        heard = time.monotonic()
        away = False
        while True:
            reply = _try(where, StatusOf(session=session))
            if reply is None:
                if not away:
                    click.echo(f"the server is away; waiting up to {give_up_s:g} s for it", err=True)
                away = True
                if time.monotonic() - heard > give_up_s:
                    raise ServerAway(
                        f"the server is away for {give_up_s:g} s; session {session} goes on when it is started again"
                    )
            elif isinstance(reply, Standing):
                if away:
                    click.echo("the server is back", err=True)
                heard, away = time.monotonic(), False
                show(reply)
                if reply.state in ("done", "stopped"):
                    return reply
            else:
                raise CannotAnswer(
                    reply.reason if isinstance(reply, Declined) else "the server answers nonsense"
                )
            time.sleep(POLL_S)


def ask_patiently(where: Where, request: AnyRequest, give_up_s: float) -> AnyReply:
    """Ask a server that may be away for a while. Raises ServerAway after ``give_up_s``."""
    deadline = time.monotonic() + give_up_s
    said = False
    while True:
        try:
            return ask(where.control, request)
        except ServerAway:
            if time.monotonic() >= deadline:
                raise
        if not said:
            said = True
            click.echo(f"the server is away; waiting up to {give_up_s:g} s for it", err=True)
        time.sleep(POLL_S)


def _try(where: Where, request: AnyRequest) -> AnyReply | None:
    try:
        return ask(where.control, request)
    except ServerAway:
        return None


def _lines() -> Callable[[Standing], None]:
    """One line for each step, and for each node that goes or comes."""
    said: set[str] = set()

    def say(line: str) -> None:
        if line not in said:
            said.add(line)
            click.echo(line, err=True)

    def show(standing: Standing) -> None:
        if standing.job:
            say(f"step {standing.step} of {standing.steps}: {standing.job} on {standing.hosts} nodes")
        if standing.waiting:
            say(f"waiting for {standing.waiting}")
        for machine, reason in standing.lost.items():
            say(f"lost {machine}: {reason}")

    return show


def _bar(stack: ExitStack) -> Callable[[Standing], None]:
    """A progress bar for the whole plan."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    progress = stack.enter_context(
        Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn(),
            console=console,
        )
    )  # fmt: skip
    row = progress.add_task("starting", total=1.0, note="")
    lost: set[str] = set()

    def show(standing: Standing) -> None:
        over = standing.state in ("done", "stopped")
        begun = standing.step - 1 if standing.job else standing.step
        part = standing.done / standing.units if standing.units else 0.0
        notes = [] if over else [f"{standing.done}/{standing.units}"]
        if standing.lost:
            notes.append(f"{len(standing.lost)} lost")
        if standing.waiting:
            notes.append(f"waiting for {standing.waiting}")
        progress.update(
            row,
            completed=1.0 if over else (begun + part) / max(1, standing.steps),
            description=standing.state if over else f"{standing.step}/{standing.steps} {standing.job}",
            note=", ".join(notes),
        )
        for machine in standing.lost.keys() - lost:
            lost.add(machine)
            console.print(f"lost {machine}: {standing.lost[machine]}", markup=False, highlight=False)

    return show


def tell_end(standing: Standing) -> None:
    """Say how it ended; raises CannotAnswer where there is nothing to report from."""
    missing = f", {len(standing.lost)} of {standing.nodes} nodes lost" if standing.lost else ""
    if standing.state == "stopped":
        raise CannotAnswer(f"session {standing.session} was stopped before its end{missing}")
    if standing.nodes and len(standing.lost) == standing.nodes:
        raise CannotAnswer(f"session {standing.session} lost all its nodes")
    click.echo(f"done{missing}; report: ahc report --session {standing.session}", err=True)
