"""``ahc confirm``: measure the suspects of a session again, beside healthy peers, and join both runs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from ahc_agent.errors import AhcError, CannotAnswer
from ahc_server import watch
from ahc_server.commands.options import limits_option
from ahc_server.control import Agents, ListAgents, Repeat, RepeatedStep
from ahc_server.paths import Where
from ahc_server.store import Store

if TYPE_CHECKING:
    from ahc_server.judge.again.repeats import Choice
    from ahc_server.judge.model import Finding, Report
    from ahc_server.judge.thresholds import Tables
    from ahc_server.session import Session


@click.command("confirm")
@click.argument("session", metavar="[SESSION]", required=False)
@click.option(
    "--wait-nodes",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for suspects whose agents are away.",
)
@click.option(
    "--give-up",
    type=click.FloatRange(0),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a server that went away.",
)
@limits_option
@click.pass_obj
def command(
    where: Where, session: str | None, wait_nodes: float, give_up: float, limits: Tables | None
) -> None:
    """Measure the suspects of SESSION (the newest, by default) again, beside as many healthy peers, and join both runs.

    What the second run shows too is confirmed; what it does not is told as a glitch, or as unstable. May be asked again and
    again. `ahc run PLAN --confirm` does it at the end of the plan.

    \b
    Example: ahc confirm rack7
    """
    if not confirm(where, session, wait_nodes, give_up, limits):
        raise CannotAnswer("none of the suspects could be measured again")


def confirm(
    where: Where, name: str | None, wait_nodes_s: float, give_up_s: float, limits: Tables | None
) -> bool:
    """Do it, and say so on standard error. False where there are suspects, and none could be measured again.

    Raises AhcError; what was measured before stays whatever happens.
    """
    session, report = _judged(where, name, limits)
    name = session.name
    if session.state not in ("done", "stopped"):
        raise CannotAnswer(f"session {name} is {session.state}: wait for its end")
    try:
        choice = _choose(where, session, report, wait_nodes_s, give_up_s)
        if not choice.suspects:
            click.echo(
                f"nothing to confirm in {name}: no node was measured to differ from its peers", err=True
            )
            return True
        _tell(choice, report)
        if not choice.steps:
            return False
        steps = [
            RepeatedStep(step=each.step, machines=list(each.machines), apart=list(each.apart))
            for each in choice.steps
        ]
        watch.submit(where, Repeat(session=name, steps=steps), 0.0)
        standing = watch.follow(where, name, give_up_s)
    except KeyboardInterrupt:
        click.echo(
            f"what was measured stays, and what is under way goes on: `ahc sessions` shows it; `ahc confirm {name}` asks again",
            err=True,
        )
        raise click.Abort from None
    except AhcError:
        click.echo(f"what {name} has measured stands; `ahc confirm {name}` asks for this again", err=True)
        raise
    watch.tell_end(standing)
    _, report = _judged(where, name, limits)
    asked = {(node, trial.measures) for trial in choice.trials for node in trial.suspects}
    for finding in _about(report, asked):
        click.echo(f"{finding.severity}: {finding.summary}", err=True)
    return True


def _judged(where: Where, name: str | None, limits: Tables | None) -> tuple[Session, Report]:
    from ahc_server.judge import judge_session

    with Store(where.store) as store:
        session = store.load_session(name)
    return session, judge_session(session, generated_at="", limits=limits)


def _choose(where: Where, session: Session, report: Report, wait_nodes_s: float, give_up_s: float) -> Choice:
    """Whom to measure again. Who would be, if all were there that were to the end of the first run, is waited for a while."""
    from ahc_server.judge.again.repeats import choose

    best = choose(report, session, {each.machine for each in session.nodes if each.lost is None})
    awaited = {machine for step in best.steps for machine in step.machines}
    deadline = time.monotonic() + wait_nodes_s
    said = False
    while best.suspects:
        reply = watch.ask_patiently(where, ListAgents(), give_up_s)
        present = set(reply.machines) if isinstance(reply, Agents) else set()
        away = awaited - present
        if not away or time.monotonic() >= deadline:
            return choose(report, session, present)
        if not said:
            said = True
            click.echo(f"waiting up to {wait_nodes_s:g} s for {', '.join(sorted(away))}", err=True)
        time.sleep(watch.POLL_S)
    return best


def _tell(choice: Choice, report: Report) -> None:
    """Who is measured again, and why."""
    for trial in choice.trials:
        for finding in _about(report, {(node, trial.measures) for node in trial.suspects}):
            click.echo(f"in doubt: {finding.summary}", err=True)
        beside = ", ".join(trial.controls)
        why = " (more than a third of the group is suspect: all of it)" if trial.everybody else ""
        click.echo(f"again: {trial.measures} of {', '.join(trial.suspects)}, beside {beside}{why}", err=True)
    for sentence in choice.left_out:
        click.echo(f"not again: {sentence}; what the first run says stands", err=True)


def _about(report: Report, asked: Iterable[tuple[str, str]]) -> list[Finding]:
    """The findings about these nodes and kinds of jobs that rest on measurements."""
    from ahc_server.judge.again.repeats import JOBS_OF

    wanted = set(asked)
    return [
        finding
        for finding in report.findings
        if finding.element.startswith("node:")
        and (finding.nodes[0], JOBS_OF.get(finding.component, "")) in wanted
        and finding.kind in ("slow", "unstable", "not-measured")
    ]
