"""A run of DAHC, eDeploy's distributed health check, as steps of a session: each job at each number of machines at once.

Every result file repeats the machine's facts: the first one's are its inventory, in a step of its own, as in our sessions. What a
file holds besides its job's component (an earlier health check) belongs to that step too, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from ahc_agent.errors import FileFormatError
from ahc_agent.facts import Inventory
from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import Identity, TaskOutcome
from ahc_server.importers import read
from ahc_server.importers.dahc_folder import Folder, JobFolder
from ahc_server.importers.dahc_hosts import match_hosts
from ahc_server.importers.dahc_metrics import Host, StepMetrics, read_affinity, read_metrics, read_systems
from ahc_server.importers.files import Candidate, read_candidate, shown
from ahc_server.importers.model import Source
from ahc_server.importers.session import identity_of
from ahc_server.yamlfile import parse_document

NAME = "DAHC results"
#: What plans call a component → what measurements do.
_MEASURES = {"cpu": "cpu", "memory": "memory", "storage": "disk", "network": "network"}
_MOST_NAMES = 4


@dataclass(slots=True)
class Machine:
    """``held``: measurements that its files hold besides what the jobs measured."""

    identity: Identity
    inventory: Inventory
    held: list[Measurement]
    at_unix_s: float
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A machine's outcome in one step."""

    machine: str
    outcome: TaskOutcome


@dataclass(slots=True)
class Step:
    """One job at one number of machines. Times are Unix seconds."""

    job: str
    component: str
    hosts: int
    started_s: float
    ended_s: float
    jitter_s: float | None
    taken: list[Taken]


@dataclass(slots=True)
class Run:
    """``plan``: text of the plan, empty where none stands beside the results. ``bad``: files that could not be taken, with the
    reason; ``remarks``: what else should be known."""

    plan_name: str = "DAHC"
    plan: str = ""
    machines: dict[str, Machine] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    files: int = 0
    measurements: int = 0
    bad: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Result:
    """One result file: the machine, and what it measured of this job's component."""

    machine: str
    measurements: list[Measurement]
    source: Source


@dataclass(frozen=True, slots=True)
class _Job:
    folder: JobFolder
    name: str
    component: str
    metrics: StepMetrics
    results: list[_Result]


def read_run(folder: Folder) -> Run:
    """All that can be taken of a run; what cannot is in ``bad``. Raises FileFormatError where nothing can."""
    run = Run()
    affinity, systems = _beside(folder, run)
    jobs = [job for of in folder.jobs.values() if (job := _job(of, run)) is not None]
    if not run.machines:
        raise FileFormatError(
            shown(folder.root),
            f"a folder of DAHC, but none of its results could be read: {run.bad[0] if run.bad else 'it has none'}",
        )
    machine_of = match_hosts(
        [job.metrics for job in jobs], {m: each.inventory for m, each in run.machines.items()}
    )
    for job in sorted(jobs, key=_order):
        run.steps.append(_step(job, machine_of, run))
    _connected(affinity, systems, machine_of, jobs, run)
    titles = sorted({job.metrics.title for job in jobs if job.metrics.title})
    if titles:
        run.remarks.append(f"the run's title: {', '.join(titles[:_MOST_NAMES])}")
    return run


def _order(job: _Job) -> tuple[float, str, int]:
    """As they ran; by the files' time where that is not told."""
    starts = job.metrics.start_s.values()
    first = min(starts) if starts else min((each.source.at_unix_s for each in job.results), default=0.0)
    return first, job.name, job.folder.hosts


# ── what stands beside the steps ───────────────────────────────────────────────────────────────────


def _beside(folder: Folder, run: Run) -> tuple[dict[Host, str], list[str]]:
    """Affinity and hypervisors; the plan goes into ``run``."""
    affinity: dict[Host, str] = {}
    systems: list[str] = []
    plans: list[tuple[int, str, str, str]] = []
    jobs = {of.path.name.partition("-")[2] for of in folder.jobs.values()}
    for each in folder.beside:
        name = shown(each.path)
        try:
            if each.path.name == "affinity":
                affinity = read_affinity(read_candidate(each)[0], name)
            elif each.path.name == "hosts":
                systems = read_systems(read_candidate(each)[0], name)
            elif each.path.suffix in (".yaml", ".yml"):
                plans += _plan(each, name, jobs)
            elif each.path.suffix == ".hw":
                run.bad.append(f"{name}: a result outside of the steps of its run (move it to STEP/JOB/)")
        except FileFormatError as error:
            run.bad.append(str(error))
    if plans:
        plans.sort(reverse=True)
        _, run.plan_name, run.plan, _ = plans[0]
        if len(plans) > 1:
            others = ", ".join(name for *_, name in plans[1:][:_MOST_NAMES])
            run.remarks.append(
                f"several plans stand beside the results: {plans[0][3]} is taken, not {others}"
            )
    else:
        run.remarks.append("no plan stands beside the results: what was asked is not known")
    return affinity, systems


def _plan(each: Candidate, name: str, jobs: set[str]) -> list[tuple[int, str, str, str]]:
    """How many of the run's jobs a plan has, its name, its text, its file's; nothing where it is no plan."""
    document = parse_document(read_candidate(each)[0], name)
    plain = document.plain
    if not isinstance(plain, dict) or not isinstance(plain.get("jobs"), dict):
        return []
    known = len(jobs & {str(job) for job in plain["jobs"]})
    title = str(plain.get("name") or each.path.stem)
    return [(known, title[:128] if title.isprintable() else "DAHC", document.text, name)]


# ── one job at one number of machines ──────────────────────────────────────────────────────────────


def _job(folder: JobFolder, run: Run) -> _Job | None:
    metrics = StepMetrics()
    if folder.metrics is None:
        run.remarks.append(
            f"{shown(folder.path)}: no metrics: start and duration of its machines are not known"
        )
    else:
        name = shown(folder.metrics.path)
        try:
            metrics = read_metrics(read_candidate(folder.metrics)[0], name)
        except FileFormatError as error:
            run.bad.append(str(error))
    prefix, _, rest = folder.path.name.partition("-")
    component = metrics.component if metrics.component in _MEASURES else prefix
    if component not in _MEASURES:
        run.bad.append(f"{shown(folder.path)}: a job of {component!r}, which is no component of DAHC")
        return None
    if metrics.hosts is not None and metrics.hosts != folder.hosts:
        run.remarks.append(
            f"{shown(folder.path)}: its metrics tell of {metrics.hosts} machines, which is taken to be right"
        )
    job = metrics.job or rest or folder.path.name
    results: dict[str, _Result] = {}
    for each in folder.results:
        result = _result(each, component, run)
        if result is not None and results.setdefault(result.machine, result) is not result:
            run.bad.append(
                f"{result.source.file}: a second result of the machine of {results[result.machine].source.file}"
            )
    name = job[:128] if job.isprintable() else ascii(job)[:128]
    return _Job(folder, name, component, metrics, list(results.values()))


def _result(each: Candidate, component: str, run: Run) -> _Result | None:
    try:
        [(_, source, imported)] = read(each)
    except FileFormatError as error:
        run.bad.append(str(error))
        return None
    run.files += 1
    identity = identity_of(imported.inventory, source.stem)
    mine: list[Measurement] = []
    held: list[Measurement] = []
    for measurement in imported.measurements:
        (mine if measurement.component == _MEASURES[component] else held).append(measurement)
    known = run.machines.get(identity.machine)
    if known is None:
        run.machines[identity.machine] = Machine(identity, imported.inventory, held, source.at_unix_s)
    run.remarks += imported.remarks
    return _Result(identity.machine, mine, source)


def _step(job: _Job, machine_of: dict[Host, str], run: Run) -> Step:
    metrics = job.metrics
    host_of = {machine: host for host, machine in machine_of.items()}
    asked = {machine_of[host] for host in metrics.asked if host in machine_of}
    taken = []
    for result in job.results:
        reason = _why_not(result, job, host_of.get(result.machine), run)
        taken.append(Taken(result.machine, _outcome(result, metrics, host_of.get(result.machine), reason)))
        if reason is None:
            run.measurements += sum(each.value is not None for each in result.measurements)
    there = {each.machine for each in taken}
    for machine in sorted(asked - there):
        taken.append(Taken(machine, _failed("it was asked, and no result of it is there")))
    times = [each.source.at_unix_s for each in job.results] or [0.0]
    starts = metrics.start_s
    ends = [start + metrics.duration_s.get(host, 0.0) for host, start in starts.items()]
    return Step(
        job=job.name,
        component=job.component,
        hosts=metrics.hosts or job.folder.hosts,
        started_s=min(starts.values()) if starts else min(times),
        ended_s=max(ends) if ends else max(times),
        jitter_s=metrics.jitter_s,
        taken=taken,
    )


def _why_not(result: _Result, job: _Job, host: Host | None, run: Run) -> str | None:
    """Why a result does not count. What is odd and counts is a remark."""
    metrics = job.metrics
    if host is not None and metrics.asked and host not in metrics.asked:
        # The server keeps results by machine and writes all of them after each step.
        return "its result was left over from an earlier step: it did not run in this one"
    if not any(each.value is not None for each in result.measurements):
        errors = [each.error for each in result.measurements if each.error]
        return errors[0] if errors else "its result holds no measurement of this job"
    if host is not None and metrics.start_s and host not in metrics.start_s:
        run.remarks.append(f"{result.source.file}: when it started is not known")
    flows = max(max(len(each.samples), 1) for each in result.measurements)
    if job.component == "network" and metrics.flows and flows < metrics.flows:
        run.remarks.append(f"{result.source.file}: reached {flows} of its {metrics.flows} peers")
    return None


def _outcome(result: _Result, metrics: StepMetrics, host: Host | None, reason: str | None) -> TaskOutcome:
    if reason is not None:
        return _failed(reason)
    outcome = TaskOutcome(
        status="ok", started_at_unix_s=result.source.at_unix_s, measurements=result.measurements
    )
    if host is None:
        return outcome
    return replace(
        outcome,
        started_at_unix_s=metrics.start_s.get(host, result.source.at_unix_s),
        start_delay_s=metrics.lag_s.get(host, 0.0),
        duration_s=metrics.duration_s.get(host, 0.0),
    )


def _failed(reason: str) -> TaskOutcome:
    return TaskOutcome(status="failed", error=reason)


# ── who took part and left nothing ─────────────────────────────────────────────────────────────────


def _connected(
    affinity: dict[Host, str],
    systems: Sequence[str],
    machine_of: dict[Host, str],
    jobs: Sequence[_Job],
    run: Run,
) -> None:
    """Machines that were connected and left no result, as participants without one where they can be told apart."""
    system_of = {host: system for job in jobs for host, system in job.metrics.system.items()} | affinity
    _physical_hosts({machine_of[h]: system for h, system in system_of.items() if h in machine_of}, run)
    silent = [host for host in sorted(affinity) if host not in machine_of]
    missing = len(affinity) - len(run.machines)
    if missing > 0 and len(silent) == missing:
        addresses = {host: each for job in jobs for host, each in job.metrics.address.items()}
        for host in silent:
            name = addresses.get(host) or f"{host[0]}:{host[1]}"
            identity = Identity(hostname=name[:256], physical_host=affinity[host][:256])
            reason = "it was connected to DAHC's server, and no result of it is there"
            run.machines[identity.machine] = Machine(identity, Inventory(collected_at=""), [], 0.0, reason)
    elif missing > 0:
        run.remarks.append(
            f"{len(affinity):,} machines were connected, and there are results of {len(run.machines):,}"
        )
    known = {each.identity.physical_host or each.identity.serial for each in run.machines.values()}
    for system in systems:
        if system not in known:
            run.remarks.append(f"hypervisor {system}: no result of a machine of it is there")


def _physical_hosts(system_of: dict[str, str], run: Run) -> None:
    """What machines share is their host, also where they do not know that they are virtual."""
    shared = {system for system, count in Counter(system_of.values()).items() if count > 1}
    for machine, system in system_of.items():
        identity = run.machines[machine].identity
        if identity.physical_host is None and system in shared:
            run.machines[machine].identity = replace(identity, physical_host=system[:256])
