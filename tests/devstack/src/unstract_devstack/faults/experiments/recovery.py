"""R34: how long the work of a killed file worker waits with the default times."""

from unstract_devstack.faults.aftermath import recovery_times
from unstract_devstack.faults.arena import Arena
from unstract_devstack.faults.checker import Sent
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.registry import AS_REAL, Trial, experiment
from unstract_devstack.fleet import Worker

RECOVERED_WITHIN_SECONDS = 25.0
PAUSE_SECONDS = 10.0
# An empty variable counts as unset.
DEFAULT_TIMES = dict.fromkeys(
    ("WORKER_LEASE_SECONDS", "WORKER_SWEEP_SECONDS", "WORKER_FIRST_RING_WAIT", "WORKER_MAX_RING_WAIT"), ""
)


@experiment("R34", modes=(AS_REAL,), scaled=True, settings=DEFAULT_TIMES)
def killed_with_default_times(trial: Trial) -> None:
    """With the default lease and sweep: what a killed file worker had ends within 25 s (95 %), a pause of 10 s costs nothing.

    The files are short, so that this is the time until the work is taken up. Full size: 20 kills; scaled: 2.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    _paused(trial, tenant)
    first = len(arena.trace.entries)
    for _ in range(trial.sized(2, 20)):
        arena.backend.dev("POST", "faults", {"kind": "delay", "path": "/execute-file/", "delay": 1.0, "seconds": 3})
        sent = [tenant.api(6), tenant.etl(6), tenant.api(6)]
        worker = _busy(arena, sent)
        arena.trace.fault("kill_file_worker", worker.name)
        worker.kill()
        trial.settle(*sent)
        arena.heal()
    waits = sorted(recovery_times(trial, first))
    most = waits[int(len(waits) * 0.95)] if waits else 0.0
    trial.check(bool(waits), "no execution was under way when its worker was killed")
    trial.check(most <= RECOVERED_WITHIN_SECONDS, f"95 % of {len(waits)} executions ended within {most:.1f} s")


def _paused(trial: Trial, tenant: Tenant) -> None:
    """Nothing is taken from a worker that pauses for 10 s."""
    arena = trial.arena
    arena.backend.dev("POST", "faults", {"kind": "delay", "path": "/execute-file/", "delay": 1.0, "seconds": 3})
    sent = tenant.api(6)
    worker = _busy(arena, [sent])
    arena.trace.fault("freeze_worker", f"{worker.name} for {PAUSE_SECONDS:.0f} s")
    with worker.process.frozen():
        aiming.pause(PAUSE_SECONDS)
    trial.settle(sent)
    times = aiming.executed(arena, sent)
    trial.check(times == sent.files, f"{sent.files} files were executed {times} times", sent.execution_id)


def _busy(arena: Arena, sent: list[Sent]) -> Worker:
    """A worker that has a file in flight, once each of the executions has one."""
    aiming.until(lambda: all(any(each.file for each in aiming.leases(arena, one)) for one in sent), "files in flight")
    for lease in (each for one in sent for each in aiming.leases(arena, one) if each.file):
        worker = aiming.owner_of(arena, lease)
        if worker is not None:
            return worker
    raise TimeoutError("the owner is gone")
