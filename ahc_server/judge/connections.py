"""Pairs that could not connect: a finding per pair, or one per node that reaches nobody."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.judge import wording
from ahc_server.judge.model import Finding
from ahc_server.judge.network import PairRun


def broken_connections(
    runs: Sequence[PairRun], names: Sequence[str], lost: set[int]
) -> tuple[list[Finding], set[int]]:
    """Findings, and the rows of nodes that reached nobody. Pairs with a lost node say nothing: it was not there."""
    broken: dict[tuple[int, int], str] = {}
    talked: set[int] = set()
    for run in runs:
        talked |= run.talked
        for one, other, said in run.broken:
            if one not in lost and other not in lost:
                broken.setdefault((one, other), said)
    concerned = {row for pair in broken for row in pair}
    isolated = concerned - talked
    if broken and not talked - lost:
        return [_nobody(sorted(concerned), names, broken)], isolated
    found = [_isolated(row, names, broken) for row in sorted(isolated)]
    found += [
        _pair(one, other, names, said)
        for (one, other), said in sorted(broken.items())
        if one not in isolated and other not in isolated
    ]
    return found, isolated


def _said(text: str) -> str:
    return f" ({text})" if text else ""


def _nobody(rows: list[int], names: Sequence[str], broken: dict[tuple[int, int], str]) -> Finding:
    concerned = [names[row] for row in rows]
    said = next((text for _, text in sorted(broken.items()) if text), "")
    return Finding(
        element=f"node:{concerned[0]}" if len(concerned) == 1 else f"pair:{concerned[0]}-{concerned[1]}",
        nodes=concerned,
        component="network",
        kind="missing",
        severity="fail",
        effect=-1.0,
        summary=f"none of {len(broken):,} pairs could connect{_said(said)}; check addresses, routes and firewalls "
        f"between the nodes",
    )


def _isolated(row: int, names: Sequence[str], broken: dict[tuple[int, int], str]) -> Finding:
    mine = [(pair, said) for pair, said in sorted(broken.items()) if row in pair]
    said = next((text for _, text in mine if text), "")
    return Finding(
        element=f"node:{names[row]}",
        nodes=[names[row]],
        component="network",
        kind="missing",
        severity="fail",
        effect=-1.0,
        summary=f"{names[row]}: network: reached none of {wording.nodes_word(len(mine))}, which reach each other"
        f"{_said(said)}; check its cable, switch port, VLAN and firewall",
    )


def _pair(one: int, other: int, names: Sequence[str], said: str) -> Finding:
    return Finding(
        element=f"pair:{names[one]}-{names[other]}",
        nodes=[names[one], names[other]],
        component="network",
        kind="missing",
        severity="fail",
        effect=-1.0,
        summary=f"{names[one]} and {names[other]} cannot talk to each other, though both reach others{_said(said)}; check "
        f"routes, VLANs and firewalls between these two",
    )
