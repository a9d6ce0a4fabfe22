"""Sends runs of empty batches: through the ledger as an orchestrator does, or as a chord."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping

from unstract_worker_core.config import load_settings
from unstract_worker_core.ledger import FileItem, RunContext, RunState, RunTask
from unstract_worker_core.queues import DOORBELL_QUEUES, Doorbell
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.building import build_runtime
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["CALLBACK_QUEUE", "Dispatch", "chord_dispatch", "ledger_dispatch"]

# Sends a run of this id with so many batches.
Dispatch = Callable[[str, int], None]
CALLBACK_QUEUE = DOORBELL_QUEUES[Doorbell.CALLBACK]
_ORGANIZATION = "org_bench"


@contextlib.contextmanager
def ledger_dispatch(environment: Mapping[str, str]) -> Iterator[Dispatch]:
    """Through the ledger that this worker environment describes: accept, claim, arm, ring."""
    runtime = build_runtime(load_settings(dict(environment), worker=WorkerType.API_DEPLOYMENT))
    yield lambda run_id, batches: _dispatch(runtime, run_id, batches)


def _dispatch(runtime: Runtime, run_id: str, batches: int) -> None:
    runs, kind = runtime.ledger.runs, RunKind.API
    runs.accept(run_id, task=RunTask.EXECUTION, kind=kind, organization_id=_ORGANIZATION, start="{}")
    claim = runs.claim(run_id, runtime.token(), state=RunState.ACCEPTED)
    assert claim is not None, "nobody else knows this run"
    items = [[FileItem(number, f"{number}.pdf", f"{number}.pdf")] for number in range(1, batches + 1)]
    context = RunContext(run_id, _ORGANIZATION, run_id, kind, total_files=batches)
    armed = runs.arm(claim, items, context)
    runtime.doorbells.ring_batches(run_id, epoch=armed.epoch, batches=range(batches), kind=kind)


@contextlib.contextmanager
def chord_dispatch(redis_url: str) -> Iterator[Dispatch]:
    """As a chord of bare Celery."""
    os.environ["BENCH_REDIS"] = redis_url  # the app's module reads it, here as in its worker
    from unstract_bench.baselines.chord_app import app, fan_out

    try:
        yield fan_out
    finally:
        # Results unsubscribe when they are collected, the last ones too late: after the interpreter's modules.
        app.backend.result_consumer.cancel_for = lambda _: None
        app.close()
