"""A worker of the real core whose batches do nothing: claim, complete, ring; the last ring closes the run.

`python -m unstract_bench.ledger.worker run`
"""

from celery import Celery

from unstract_worker_core import serialization
from unstract_worker_core.doorbells import read_batch_doorbell, read_run_doorbell
from unstract_worker_core.ledger import BatchRefusal, FileOutcome, FinalState, OutcomeKind, RunState
from unstract_worker_core.queues import FINALISE_TASK, PROCESS_BATCH_TASK
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.cli import command_line
from unstract_worker_core.worker.definition import RuntimeOf, WorkerDefinition
from unstract_worker_core.worker.tasks import add_task


def batch(runtime: Runtime, delivery: Delivery) -> None:
    """Handle a batch as file-processing does, without the work on the files."""
    bell = read_batch_doorbell(delivery.kwargs)
    if bell is None:
        return
    batches = runtime.ledger.batches
    claim = batches.claim(bell.run_id, bell.epoch, bell.batch, runtime.token())
    if isinstance(claim, BatchRefusal):
        return
    with runtime.keeper.batch(claim):
        outcomes = (FileOutcome(file.number, file.name, OutcomeKind.COMPLETED) for file in claim.files)
        # File-processing, too, records the last outcomes of a batch in the step that completes it.
        state = batches.complete(claim, {each.number: serialization.encode(each) for each in outcomes})
    if state is RunState.READY:
        runtime.doorbells.ring_callback(bell.run_id)


def finalise(runtime: Runtime, delivery: Delivery) -> None:
    """Claim the run, read all outcomes and close it, as the callback worker does. Reports the end in Redis."""
    bell = read_run_doorbell(delivery.kwargs)
    claim = bell and runtime.ledger.runs.claim(bell.run_id, runtime.token(), state=RunState.READY)
    if not claim:
        return
    with runtime.keeper.run(claim):
        count = sum(1 for _ in runtime.ledger.runs.outcomes(claim.run_id))
        runtime.ledger.runs.finish(claim, FinalState(), recheck_seconds=0, tombstone_seconds=600)
    runtime.platform_redis.rpush(f"bench:done:{claim.run_id}", count)


def register(app: Celery, runtime: RuntimeOf) -> None:
    """Both tasks."""
    add_task(app, runtime, PROCESS_BATCH_TASK, batch)
    add_task(app, runtime, FINALISE_TASK, finalise)


DEFINITION = WorkerDefinition(WorkerType.FILE_PROCESSING, "unstract_worker_file_processing", register)

if __name__ == "__main__":
    command_line(DEFINITION)()
