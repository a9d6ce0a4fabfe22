"""Chord mode: `process_batch_callback*` messages of today's workers, with a list of batch results.

Each becomes a run that is READY at once, so that duplicates, crashes and backend outages are handled as for other runs.
The file workers of the chord pushed its API items; the callback worker never changes them.
"""

from collections.abc import Mapping, Sequence

from attrs import frozen

from unstract_worker_callback.final_status import Totals, count_results
from unstract_worker_core import serialization
from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.executions import Execution
from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id, opaque_id, organization_id
from unstract_worker_core.ledger import RunClaim, RunContext
from unstract_worker_core.messages.batch import BatchResult, read_results
from unstract_worker_core.statuses import RunKind


@frozen
class ChordCallback:
    """A chord's callback message."""

    execution_id: str
    organization_id: str
    pipeline_id: str | None = None
    results: tuple[BatchResult, ...] = ()

    @property
    def run_id(self) -> str:
        """Id of the ledger run that finalises the chord; one per execution."""
        return f"{self.execution_id}.callback"


def read_callback(results: object, extra: Sequence[object], kwargs: Mapping[str, object]) -> ChordCallback:
    """Read the arguments of `process_batch_callback` or `process_batch_callback_api`. Raises MessageError."""
    if extra:
        raise MessageError("expected one positional argument, the results", field="args")
    pipeline = kwargs.get("pipeline_id")
    return ChordCallback(
        execution_id=execution_id(kwargs.get("execution_id")),
        organization_id=organization_id(kwargs.get("organization_id")),
        pipeline_id=None if pipeline in (None, "", "None") else opaque_id(pipeline, field="pipeline_id"),
        results=read_results(results),
    )


def load_chord_run(backend: Backend, claim: RunClaim) -> tuple[RunContext, Totals, Execution]:
    """Context, totals and execution of a chord's run. Its kind, workflow and pipeline come from the execution."""
    message = serialization.decode(claim.start, ChordCallback)
    execution = backend.executions.get(message.organization_id, message.execution_id)
    context = RunContext(
        execution_id=message.execution_id,
        organization_id=message.organization_id,
        workflow_id=execution.workflow_id,
        kind=RunKind.API if execution.is_api else RunKind.ETL,
        pipeline_id=message.pipeline_id or execution.pipeline_id,
        log_channel=execution.execution_log_id or execution.pipeline_id,
        total_files=execution.total_files,
        chord=True,
    )
    return context, count_results(message.results), execution
