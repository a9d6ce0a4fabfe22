"""Executions: read, list, create, set the status, clean up; and what their files used."""

import math
import time
from collections.abc import Callable, Iterable

from attrs import evolve, field, frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import Caller, Resource
from unstract_worker_core.backend.responses import ApiResponse, Json
from unstract_worker_core.errors import BackendRefused
from unstract_worker_core.identifiers import uuids
from unstract_worker_core.serialization import one_line
from unstract_worker_core.statuses import ExecutionStatus

_METHOD_NOT_ALLOWED = 405
_NOT_OFFERED_SECONDS = 3600.0


@frozen
class ExecutionSummary:
    """One row of the list of a workflow's executions. `execution_method`: DIRECT or SCHEDULED. Times: ISO 8601."""

    id: str
    workflow_id: str
    status: ExecutionStatus
    pipeline_id: str | None = None
    execution_log_id: str = ""
    total_files: int = 0
    error_message: str = ""
    created_at: str = ""
    execution_method: str = ""


@frozen
class Execution:
    """An execution and what a worker needs to know about it; no files, no credentials.

    `is_api` is true if either end of the workflow says so. `pipeline_id` is None when the pipeline is gone.
    """

    id: str
    workflow_id: str
    status: ExecutionStatus
    organization_id: str | None = None
    pipeline_id: str | None = None
    execution_log_id: str = ""
    total_files: int = 0
    error_message: str = ""
    attempts: int = 0
    execution_time: float = 0.0
    created_at: str = ""
    modified_at: str = ""
    tags: tuple[str, ...] = ()
    is_api: bool = False
    use_file_history: bool = True


@frozen(kw_only=True)
class StatusUpdate:
    """A status to write; what is None is left out (null is refused). Counts need `total_files`."""

    status: ExecutionStatus
    total_files: int | None = None
    successful_files: int | None = None
    failed_files: int | None = None
    error_message: str | None = None
    attempts: int | None = None


@frozen(kw_only=True)
class NewExecution:
    """An execution to create. Without `pipeline_id` it needs `log_events_id`: the backend fails on neither."""

    workflow_id: str
    pipeline_id: str | None = None
    log_events_id: str | None = field(default=None)
    mode: str | None = None
    scheduled: bool = False
    single_step: bool = False
    total_files: int = 0

    @log_events_id.validator
    def _channel(self, _: object, value: str | None) -> None:
        if not value and not self.pipeline_id:
            raise ValueError("a new execution needs pipeline_id or log_events_id")


class Executions(Resource):
    """Calls about executions."""

    def __init__(self, call: Caller, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(call)
        self._clock = clock
        self._no_cleanup_until = -math.inf

    def get(self, organization_id: str, execution_id: str) -> Execution:
        """An execution. Raises NotFound if there is none of this id."""
        ids = uuids(execution_id=execution_id)
        response = self._call(operations.GET_EXECUTION, organization_id, ids=ids, query={"file_execution": "false"})
        execution = _execution(response)
        if execution.id != ids["execution_id"]:
            raise response.unexpected("execution.id: not the one that was asked for")
        return execution

    def list(
        self,
        organization_id: str,
        workflow_id: str | None,
        statuses: Iterable[ExecutionStatus],
        *,
        skip_unreadable: bool = False,
    ) -> tuple[ExecutionSummary, ...]:
        """The executions of a workflow (None: of all) that are in one of `statuses`, in the backend's order.

        Args:
            skip_unreadable: leave out entries that cannot be read, for a caller that concludes nothing from a missing
                one.
        """
        wanted = ",".join(status.value for status in statuses)
        query = (uuids(workflow_id=workflow_id) if workflow_id else {}) | {"status__in": wanted}
        response = self._call(operations.LIST_EXECUTIONS, organization_id, query=query)
        read = response.readable if skip_unreadable else response.many
        return read(ExecutionSummary, response.items())

    def update_status(
        self, organization_id: str, execution_id: str, update: StatusUpdate, *, key: str | None = None
    ) -> str | None:
        """Write a status, with counts and error in the same call.

        On OutcomeUnknown read the execution before writing again: it may have been stopped or ended meanwhile.

        Returns:
            None, or why the backend did not store it, such as ``already_final``. That is a 200 too.
        """
        if update.error_message is not None:
            update = evolve(update, error_message=one_line(update.error_message))
        ids, body = uuids(execution_id=execution_id), serialization.unstructure(update)
        response = self._call(operations.UPDATE_EXECUTION, organization_id, ids=ids, body=body, key=key)
        if response.member("status") == "updated":
            return None
        if response.member("status") == "skipped":
            return one_line(str(response.member("reason")))
        raise response.unexpected("status: neither updated nor skipped")

    def create(self, organization_id: str, execution: NewExecution, *, key: str | None = None) -> str:
        """Create an execution; each call makes one, and returns its id. On OutcomeUnknown look into the list first."""
        body = serialization.unstructure(execution)
        response = self._call(operations.CREATE_EXECUTION, organization_id, body=body, key=key)
        return response.typed(str, "a text", "execution_id")

    def cleanup(self, organization_id: str, execution_ids: Iterable[str], *, key: str | None = None) -> bool:
        """Clean staging directories and caches up; False where the backend does not offer it (405).

        Today's backend does not, and logs an error each time: it is not asked again for an hour.
        """
        if self._clock() < self._no_cleanup_until:
            return False
        body = {"execution_ids": [uuids(execution_id=each)["execution_id"] for each in execution_ids]}
        try:
            self._call(operations.CLEAN_UP, organization_id, body=body, key=key)
        except BackendRefused as error:
            if error.status == _METHOD_NOT_ALLOWED:
                self._no_cleanup_until = self._clock() + _NOT_OFFERED_SECONDS
                return False
            raise
        return True


def _execution(response: ApiResponse) -> Execution:
    source = response.object("source_config")
    destination = response.object("destination_config")
    found: dict[str, Json] = {
        **response.object("execution"),
        "organization_id": response.member("organization_context", "organization_id"),
        "is_api": source.get("is_api") is True or destination.get("is_api") is True,
        "use_file_history": destination.get("use_file_history", True),
    }
    tags = found.get("tags")
    names = [tag.get("name") for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    return response.one(Execution, {**found, "tags": names})


@frozen
class TokenUsage:
    """Tokens and cost of one file execution; None where nothing was counted."""

    embedding_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost_in_dollars: float | None = None


class Usage(Resource):
    """Calls about what file executions used."""

    def tokens(self, organization_id: str, file_execution_id: str) -> TokenUsage:
        """Tokens and cost of a file execution; all None where nothing was counted."""
        ids = uuids(file_execution_id=file_execution_id)
        response = self._call(operations.TOKENS, organization_id, ids=ids)
        return response.one(TokenUsage, response.object("data", "usage"))

    def pages(self, organization_id: str, file_execution_id: str) -> int | None:
        """Pages processed for a file execution; None where none were counted."""
        ids = uuids(file_execution_id=file_execution_id)
        response = self._call(operations.PAGES, organization_id, ids=ids)
        where = ("data", "total_pages_processed")
        return None if response.member(*where) is None else response.typed(int, "an integer", *where)
