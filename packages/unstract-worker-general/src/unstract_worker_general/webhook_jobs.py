"""What a webhook's doorbell does: the step on its run, and then a look at the line for places."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from unstract_worker_core.ledger import RunTask
from unstract_worker_core.runs import Decision, Job, RunSession
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.worker.runtime import Runtime
from unstract_worker_general.deliver import deliver, give_up_delivery
from unstract_worker_general.egress import Egress
from unstract_worker_general.per_host import Limits

__all__ = ["webhook_jobs"]


@contextmanager
def webhook_jobs(runtime: Runtime, egress: Egress) -> Iterator[Mapping[RunTask, Job]]:
    """The jobs for one doorbell. When the block is left, its run stands in line if it got no place.

    Then one that there is a place for is rung, whatever the doorbell led to: its own place may be free again, or it was
    called out of the line itself and somebody else had taken its run up.
    """
    in_line: list[tuple[str, str]] = []

    def step(session: RunSession) -> Decision:
        return deliver(session, egress, lambda host: in_line.append((host, session.claim.run_id)))

    try:
        yield {RunTask.WEBHOOK: Job(step, give_up_delivery, bounded=False)}
        # Only now: called while it is still held, a run would be taken for somebody else's.
        for host, run_id in in_line:
            egress.places.stand_in_line(host, run_id)
    finally:
        called = egress.places.next_in_line(Limits.of(runtime.settings))
        if called is not None:
            runtime.doorbells.ring_start(called, task=RunTask.WEBHOOK, kind=RunKind.ETL)
