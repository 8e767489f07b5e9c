"""May this plan run here, and on whom? A pure function of the plan and the agents that are there."""

from __future__ import annotations

from collections.abc import Mapping

from ahc_agent.errors import CannotAnswer, UsageError
from ahc_agent.order import natural_order
from ahc_agent.wire.messages import Hello
from ahc_server.pairing import spread
from ahc_server.plan.model import Plan


class TooFewNodes(CannotAnswer):
    """More agents may join yet."""


def admit(
    plan: Plan,
    agents: Mapping[str, Hello],
    nodes: int | None,
    *,
    destructive_allowed: bool,
    session: str = "",
) -> list[tuple[str, Hello]]:
    """The participants in order (natural order of their names; spread over physical hosts where not all are taken).

    Machines that were booted for another session than ``session`` are left alone.
    Raises UsageError where it can never be, TooFewNodes where more agents would help.
    """
    if plan.destructive and not destructive_allowed:
        raise UsageError(
            f"{plan.name} may destroy what is on the disks (`destructive: true`), and this server does not allow that"
            " (start it with --allow-destructive)"
        )
    needed, most = _range(plan, nodes)
    meant = [machine for machine, hello in agents.items() if hello.session in (None, session)]
    machines = sorted(meant, key=natural_order)
    if len(machines) < needed:
        others = len(agents) - len(meant)
        waiting = f" ({others} more were booted for another session, ahc.session=)" if others else ""
        raise TooFewNodes(f"{needed} nodes are needed, {len(machines)} are here{waiting}")
    hosts = {machine: agents[machine].identity.physical_host or f"machine:{machine}" for machine in machines}
    if most is not None and len(machines) > most:
        few = set(spread(machines, hosts.__getitem__)[:most])
        machines = [machine for machine in machines if machine in few]
    there = len({hosts[machine] for machine in machines})
    if plan.hypervisors is not None and there < plan.hypervisors:
        raise TooFewNodes(f"nodes on {plan.hypervisors} physical hosts are needed, they are on {there}")
    return [(machine, agents[machine]) for machine in machines]


def _range(plan: Plan, nodes: int | None) -> tuple[int, int | None]:
    """How many nodes are needed, and how many are taken at most."""
    jobs = max((job.hosts.high for job in plan.jobs if job.hosts is not None), default=1)
    needed = max(jobs, plan.hosts.low if plan.hosts is not None else 1)
    if nodes is None:
        return needed, plan.hosts.high if plan.hosts is not None else None
    if nodes < needed:
        raise UsageError(f"{plan.name} needs {needed} nodes, --nodes says {nodes}")
    if plan.hosts is not None and nodes > plan.hosts.high:
        raise UsageError(f"{plan.name} takes at most {plan.hosts.high} nodes, --nodes says {nodes}")
    return nodes, nodes
