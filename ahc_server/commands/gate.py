"""``ahc gate``: may this fleet, or this node, be deployed?"""

from __future__ import annotations

import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahc_agent.errors import CannotAnswer, NoData, UsageError
from ahc_server.commands.options import limits_option, session_option
from ahc_server.paths import Where
from ahc_server.store import Store

if TYPE_CHECKING:
    from ahc_server.gate.checks import Data
    from ahc_server.gate.model import Gate
    from ahc_server.gate.policy import Policy
    from ahc_server.history.model import Comparison
    from ahc_server.judge import Judgement
    from ahc_server.judge.thresholds import Tables
    from ahc_server.profiles.model import Matches
    from ahc_server.session import Session

#: Width of the text where it goes to a pipe or a file.
_PIPE_WIDTH = 120
_STEPS = ("pre-deploy", "post-deploy", "post-upgrade")


@click.command("gate")
@click.option(
    "--policy",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="What must hold (YAML, like profiles/policies/pre-deploy.yaml).",
)
@session_option
@click.option("--node", metavar="ID", default=None, help="This node alone.")
@click.option("--step", type=click.Choice(_STEPS), default=None, help="Which step of a policy with several.")
@click.option(
    "--before", metavar="NAME", default=None, help="The session to compare with, where the policy asks."
)
@click.option(
    "--profiles",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Hardware profiles, where the policy asks for them (least, ready-state). By default the shipped ones.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True
)
@click.option(
    "--at",
    metavar="TIME",
    default=None,
    help="Answer for this moment (2026-12-24T18:00:00Z), not for now: audits, tests.",
)
@click.option(
    "--on-fail",
    "on_fail",
    metavar="COMMAND",
    multiple=True,
    help="For each node that closes the gate: a command with {node} in it, or ironic-maintenance, ironic-hold, kubernetes-taint, "
    "metal3-label. A dry run; with --apply it is done.",
)
@click.option("--apply", is_flag=True, help="Run what --on-fail names.")
@limits_option
@click.pass_obj
def command(
    where: Where,
    file: Path,
    name: str | None,
    node: str | None,
    step: str | None,
    before: str | None,
    folder: Path | None,
    form: str,
    at: str | None,
    on_fail: tuple[str, ...],
    apply: bool,
    limits: Tables | None,
) -> None:
    """May this fleet, or this node, be deployed?

    Ends with 0 where the gate is open, with 1 where it is closed, with 3 where that cannot be told. It is never open where a
    node fails, or where data is missing, doubled or too old.

    \b
    Example: ahc gate --policy profiles/policies/pre-deploy.yaml --session rack7
    Example: ahc gate --policy site.yaml --step post-upgrade --format junit > gate.xml
    Example: ahc gate --policy site.yaml --on-fail 'power-off.sh {node}' --apply
    """
    from ahc_server.gate.called import registered
    from ahc_server.gate.decide import decide
    from ahc_server.gate.hooks import read_hook
    from ahc_server.gate.policy import read_policy
    from ahc_server.gate.quarantine import failed_nodes, quarantine

    hooks = [read_hook(each) for each in on_fail]
    if apply and not hooks:
        raise UsageError("--apply without --on-fail: there is nothing to do")

    now_s = time.time() if at is None else _moment(at)
    policy = read_policy(file, step)
    # Who says what to compare with means to have it compared.
    if before is not None and policy.compare is None:
        raise UsageError(f"--before {before}: {file} asks for no comparison (compare: {{}})")
    if folder is not None and not _asks_profiles(policy):
        raise UsageError(f"--profiles {folder}: {file} asks nothing of profiles (least, ready-state)")
    data = _data(where, policy, name, before, folder, limits)
    gate = decide(policy, data, now_s, node)
    click.echo(_drawn(gate, form), nl=False)
    if hooks and gate.state == "closed":
        names = dict(policy.names)
        called, notes = registered(hooks, data.session, failed_nodes(gate).keys() - names.keys())
        for line in (*notes, *quarantine(gate, hooks, names, called, apply=apply)):
            click.echo(line, err=True)
    if gate.exit_code:
        click.get_current_context().exit(gate.exit_code)


def _moment(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"--at {text!r}: a time like 2026-12-24T18:00:00Z is meant") from None


def _data(
    where: Where,
    policy: Policy,
    name: str | None,
    before: str | None,
    folder: Path | None,
    limits: Tables | None,
) -> Data:
    """What the gate decides from. What the policy does not ask for is not read; what cannot be read is told."""
    from ahc_server.collector import no_collector
    from ahc_server.commands.report import newest_time
    from ahc_server.gate.checks import Data
    from ahc_server.judge import judge

    problem: dict[str, str] = {}
    matches = comparison = None
    with Store(where.store) as store:
        session = store.load_session(name)
        if not session.nodes:
            raise NoData(f"session {session.name} has no nodes")
        with no_collector():
            judgement = judge(session, generated_at=newest_time(session), limits=limits)
        if policy.compare is not None:
            try:
                comparison = _compared(store, session.name, before or policy.compare.before, limits)
            except CannotAnswer as error:
                problem["compare"] = str(error)
    if _asks_profiles(policy):
        matches = _matched(policy, session, judgement, folder)
    return Data(session, judgement.report, matches, comparison, problem)


def _asks_profiles(policy: Policy) -> bool:
    return bool(policy.least) or policy.ready_state


def _matched(policy: Policy, session: Session, judgement: Judgement, folder: Path | None) -> Matches:
    """Who serves as what. Raises FileFormatError, also for a policy that counts a profile which does not exist."""
    from ahc_server.profiles.match import match_session
    from ahc_server.profiles.read import SHIPPED, read_profiles

    profiles = read_profiles(folder or SHIPPED)
    known = [profile.name for profile in profiles]
    for name, _ in policy.least:
        if name not in known:
            policy.unknown_profile(name, known)
    return match_session(session, profiles, lambda: judgement)


def _compared(store: Store, name: str, before: str, limits: Tables | None) -> Comparison:
    """This session against another; ``previous``: the one that came in before it. Raises CannotAnswer."""
    from ahc_server.gate.policy import PREVIOUS
    from ahc_server.history.compare import compare
    from ahc_server.history.loading import load

    if before == PREVIOUS:
        names = [summary.name for summary in store.sessions() if summary.nodes]
        older = names[names.index(name) + 1 :]
        if not older:
            raise NoData(f"there is no session before {name} (--before names another)")
        before = older[0]
    if before == name:
        raise NoData(f"{name} cannot be compared with itself (--before names another session)")
    return compare(load(store, before, flows=True), load(store, name, flows=True), limits)


def _drawn(gate: Gate, form: str) -> str:
    if form == "json":
        from ahc_server.history.draw import json_text

        return json_text(gate)
    if form == "junit":
        from ahc_server.gate.junit import draw_junit

        return draw_junit(gate)
    from ahc_server.gate.draw import draw_text

    width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns if sys.stdout.isatty() else _PIPE_WIDTH
    return draw_text(gate, max(width, 60))
