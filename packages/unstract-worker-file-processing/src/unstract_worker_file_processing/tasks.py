"""The file-processing worker: its Celery tasks and its definition; the steps are plain functions in other modules."""

from collections.abc import Callable
from functools import cache
from typing import Any

from celery import Celery

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.config import Settings
from unstract_worker_core.config.sections import PLATFORM_EXECUTOR
from unstract_worker_core.doorbells import read_batch_doorbell
from unstract_worker_core.errors import MessageError
from unstract_worker_core.messages.batch import BatchResult, read_batch
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import EXECUTOR_ANSWER_TASK, EXECUTOR_FAILURE_TASK, PROCESS_BATCH_TASK
from unstract_worker_core.runs.run_handler import retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import RuntimeOf, Service, WorkerDefinition
from unstract_worker_core.worker.rejected_messages import dead_letter_task
from unstract_worker_core.worker.tasks import add_task
from unstract_worker_file_processing.batch import handle_doorbell
from unstract_worker_file_processing.chord_compat import process_chord_batch
from unstract_worker_file_processing.deferred import receive_answer, receive_failure
from unstract_worker_file_processing.executor import GuardedExecutor, load_executor

_CHORD_TASKS = (
    "process_file_batch",
    "workflow_manager.workflow_v2.file_execution_tasks.process_file_batch",
)
# Today's workers register them, but no producer sends them, and they fail there (contract: tasks 4.5).
_NEVER_WORKED = ("process_file_batch_api", "process_file_batch_resilient")
_CHORD_OFF = (
    "a batch of a chord, but CHORD_COMPAT is off here: set it, and the result backend's variables, on this worker, "
    "or let this fleet's api-deployment and general workers start the executions"
)

log = get_logger(__name__)
ExecutorOf = Callable[[Runtime], GuardedExecutor]


def register(app: Celery, runtime: RuntimeOf) -> None:
    """Add this worker's tasks to the app."""
    executor = cache(load_executor)
    add_task(app, runtime, PROCESS_BATCH_TASK, lambda process, delivery: _doorbell(process, delivery, executor))
    add_task(app, runtime, EXECUTOR_ANSWER_TASK, receive_answer, late=True)
    add_task(app, runtime, EXECUTOR_FAILURE_TASK, receive_failure, late=True)
    for name in _CHORD_TASKS:
        add_task(app, runtime, name, lambda process, delivery: _chord_batch(process, delivery, executor), result=True)
    for name in _NEVER_WORKED:
        add_task(app, runtime, name, _refuse, late=True)


def services(runtime: Runtime) -> tuple[Service, ...]:
    """None; but a worker whose executor is not installed must not start. Raises ConfigurationError."""
    load_executor(runtime)
    return ()


def _doorbell(runtime: Runtime, delivery: Delivery, executor: ExecutorOf) -> None:
    doorbell = read_batch_doorbell(delivery.kwargs)
    if doorbell is None:
        log.warning("doorbell of a newer format ignored")
        return
    handle_doorbell(runtime, executor(runtime), doorbell)


def _chord_batch(runtime: Runtime, delivery: Delivery, executor: ExecutorOf) -> dict[str, Any]:
    if not runtime.settings.chord.enabled:
        raise MessageError(_CHORD_OFF)
    batch = delivery.args[0] if delivery.args else delivery.kwargs.get("file_batch_data")
    try:
        message = read_batch(batch)
    except MessageError as error:  # the chord still waits for a result
        reason = str(error)
        retry_until_accepted(runtime, lambda: dead_letter_task(runtime, delivery, reason))
        files = batch.get("files") if isinstance(batch, dict) else None
        count = len(files) if isinstance(files, list) else 0
        return BatchResult(total_files=count, failed_files=count, errors=(reason,)).as_message()
    return process_chord_batch(runtime, executor(runtime), message, delivery.task_id)


def _refuse(runtime: Runtime, delivery: Delivery) -> None:
    raise MessageError(f"{delivery.task} never worked: send process_file_batch")


_OPERATIONS = (
    ops.HEALTH,
    ops.GET_EXECUTION,
    ops.HISTORY_BY_HASH,
    ops.CHECK_HISTORY,
    ops.GET_FILE,
    ops.UPDATE_FILES,
    ops.UPDATE_FILE,
    ops.EXECUTE_FILE,
    ops.CREATE_HISTORY,
    ops.TOKENS,
    ops.PAGES,
    ops.CHECK_ACTIVE,
    ops.CREATE_FILE,
    ops.LIST_FILES,
)
# What the executor `platform` calls in place of `execute-file/`, which today's platform does not serve.
_PLATFORM_OPERATIONS = (ops.TOOL_INSTANCES, ops.TOOL, ops.PLATFORM_KEY, ops.WORKFLOW)


def _operations_of(settings: Settings) -> tuple[Operation, ...]:
    if settings.files.executor != PLATFORM_EXECUTOR:
        return _OPERATIONS
    return (*(each for each in _OPERATIONS if each is not ops.EXECUTE_FILE), *_PLATFORM_OPERATIONS)


DEFINITION = WorkerDefinition(
    WorkerType.FILE_PROCESSING,
    "unstract_worker_file_processing",
    register,
    services=services,
    checks="unstract_worker_file_processing.checks:executor_lines",
    operations=_OPERATIONS,
    operations_of=_operations_of,
)
