"""Puts runs into the ledger as an orchestrator does, without calls to a backend."""

import time
from collections.abc import Callable, Mapping
from unittest.mock import create_autospec
from uuid import uuid4

from unstract_bench.rig import RunFailed
from unstract_worker_core.config import load_settings
from unstract_worker_core.ledger import BatchRefusal, FileItem, RunContext, RunState, RunTask
from unstract_worker_core.ledger.sweeper import Finaliser, Sweeper
from unstract_worker_core.queues import DOORBELL_QUEUES, Doorbell
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.celery_app import build_runtime

# Sends a run of this id with so many batches.
Dispatch = Callable[[str, int], None]
CALLBACK_QUEUE = DOORBELL_QUEUES[Doorbell.CALLBACK]
_ORGANIZATION, _KIND = "org_bench", RunKind.API


def dispatcher(environment: Mapping[str, str]) -> Dispatch:
    """Through the ledger that this worker environment describes: accept, claim, arm, ring."""
    runtime = _runtime(environment)

    def dispatch(run_id: str, batches: int) -> None:
        epoch = _armed(runtime, run_id, batches)
        runtime.doorbells.ring_batches(run_id, epoch=epoch, batches=range(batches), kind=_KIND)

    return dispatch


def sweeper_ticks(environment: Mapping[str, str], runs: int) -> Callable[[], float]:
    """Open so many healthy runs: each has a batch that is worked on, under a lease that lasts.

    Returns:
        A function that makes one tick of a sweeper without due runs, and returns its seconds.
    """
    runtime = _runtime(environment)
    for _ in range(runs):
        run_id = str(uuid4())
        if isinstance(
            runtime.ledger.batches.claim(run_id, _armed(runtime, run_id, 1), 0, runtime.token()), BatchRefusal
        ):
            raise RunFailed("a batch of a new run could not be claimed")
    finaliser = create_autospec(Finaliser, instance=True)  # a tick without due runs does not call it
    sweeper = Sweeper(runtime.ledger.runs, runtime.doorbells, finaliser, interval=60, recheck_seconds=60)

    def tick() -> float:
        began = time.perf_counter()
        if sweeper.tick()["looked"]:
            raise RunFailed("a healthy run was due for the sweeper")
        return time.perf_counter() - began

    return tick


def _runtime(environment: Mapping[str, str]) -> Runtime:
    return build_runtime(load_settings(dict(environment), worker=WorkerType.API_DEPLOYMENT))


def _armed(runtime: Runtime, run_id: str, batches: int) -> int:
    """Accept, claim and arm a run of one file a batch; its epoch."""
    runs = runtime.ledger.runs
    runs.accept(run_id, task=RunTask.EXECUTION, kind=_KIND, organization_id=_ORGANIZATION, start="{}")
    claim = runs.claim(run_id, runtime.token(), state=RunState.ACCEPTED)
    if claim is None:
        raise RunFailed("a new run could not be claimed")
    items = [[FileItem(number, f"{number}.pdf", f"{number}.pdf")] for number in range(1, batches + 1)]
    return runs.arm(claim, items, RunContext(run_id, _ORGANIZATION, run_id, _KIND, total_files=batches)).epoch
