"""R26, R27: the last status stays, and a person's stop counts."""

import random
import time

from unstract_devstack.faults.checker import HARNESS, TERMINAL, Sent
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.registry import AS_REAL, Trial, experiment
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, WorkerKind

LATE_SECONDS = 0.012
ROUND = 10
# A worker goes by an answer of up to a second (WORKER_STATUS_SECONDS), and then asks.
STOP_IS_KNOWN = 1.5


@experiment("R26", modes=(AS_REAL,), scaled=True, quick=True)
def one_way(trial: Trial) -> None:
    """A stale EXECUTING written just after the end is corrected; the first terminal status stays.

    Full size: 1,000 rounds; scaled: 30.
    """
    tenant = new_tenant(trial.arena)
    for start in range(0, trial.sized(30, 1000), ROUND):
        chance = random.Random(f"R26 {trial.seed} {start}")
        sent = [tenant.api(1) for _ in range(ROUND)]
        _race(trial, sent, chance)
        trial.settle(*sent)


def _race(trial: Trial, sent: list[Sent], chance: random.Random) -> None:
    waiting, deadline = {each.execution_id: each for each in sent}, time.monotonic() + 60
    while waiting and time.monotonic() < deadline:
        trial.arena.history.refresh()
        for execution_id, each in list(waiting.items()):
            ended = any(
                effect.operation == "executions.update_status" and effect.status in TERMINAL
                for effect in trial.arena.history.of(execution_id)
            )
            if ended:
                del waiting[execution_id]
                aiming.pause(chance.uniform(0.0, LATE_SECONDS))
                _write(trial, each, "EXECUTING")
    trial.check(not waiting, f"{len(waiting)} executions did not end")


def _write(trial: Trial, sent: Sent, status: str) -> None:
    trial.arena.trace.fault("stale_status", f"{status} over {sent.execution_id}")
    path = f"workflow-execution/{sent.execution_id}/update_status/"
    key = f"{HARNESS}{sent.execution_id}:{time.time()}"
    trial.arena.call("POST", path, {"status": status}, organization=sent.organization, key=key)


@experiment("R27", modes=(AS_REAL,), quick=True)
def user_stop(trial: Trial) -> None:
    """A stop before the start, between files and before the end: STOPPED, no new file, no later status."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    before = _stopped_while_frozen(trial, tenant, API_DEPLOYMENT, files=4)
    arena.fault("delay", "/execute-file/", delay=0.3, seconds=8)
    between = tenant.api(40, stopped=True, status="STOPPED")
    aiming.until(lambda: aiming.executed(arena, between) >= 2, "two files are done")
    tenant.platform.stop(between.execution_id)
    stopped_at, known = time.time(), aiming.executed(arena, between)
    arena.trace.fault("user_stop", f"{between.execution_id} after {known} files")
    finalising = _stopped_while_frozen(trial, tenant, CALLBACK, files=2)
    trial.settle(before, between, finalising)
    effects = arena.history.of(between.execution_id)
    started = [
        each
        for each in effects
        if each.operation == "files.update_status"
        and each.status == "EXECUTING"
        and each.at > stopped_at + STOP_IS_KNOWN
    ]
    trial.check(not started, f"{len(started)} files were started after the stop", between.execution_id)
    trial.check(aiming.executed(arena, before) == 0, "a file was started", before.execution_id)


def _stopped_while_frozen(trial: Trial, tenant: Tenant, kind: WorkerKind, *, files: int) -> Sent:
    """An execution that is stopped while the workers of one kind are frozen."""
    arena = trial.arena
    with aiming.frozen(arena, kind):
        sent = tenant.api(files, stopped=True, status="STOPPED")
        if kind is CALLBACK:
            aiming.until(lambda: aiming.state_of(arena, sent) == "READY", "all files are done")
        tenant.platform.stop(sent.execution_id)
        arena.trace.fault("user_stop", f"{sent.execution_id} while {kind.name} is frozen")
    return sent
