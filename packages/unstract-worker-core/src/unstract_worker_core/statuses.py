"""Statuses that the platform knows, with the mappings between them (contract: enums, section 1)."""

from enum import StrEnum


class WorkerType(StrEnum):
    """The four worker types; the value is the one of WORKER_TYPE."""

    API_DEPLOYMENT = "api_deployment"
    GENERAL = "general"
    FILE_PROCESSING = "file_processing"
    CALLBACK = "callback"

    @property
    def distribution(self) -> str:
        """Name of the distribution, such as ``unstract-worker-file-processing``."""
        return "unstract-worker-" + self.value.replace("_", "-")


class RunKind(StrEnum):
    """What started an execution: an API deployment, or an ETL/TASK pipeline or workflow page."""

    API = "api"
    ETL = "etl"


class ExecutionStatus(StrEnum):
    """Status of an execution and of a file execution."""

    PENDING = "PENDING"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    STOPPED = "STOPPED"
    ERROR = "ERROR"

    @property
    def terminal(self) -> bool:
        """Whether nothing may change it any more."""
        return self in (ExecutionStatus.COMPLETED, ExecutionStatus.STOPPED, ExecutionStatus.ERROR)


class PipelineStatus(StrEnum):
    """`last_run_status` of a pipeline. The backend stores any string, so map before sending."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    INPROGRESS = "INPROGRESS"
    YET_TO_START = "YET_TO_START"


_PIPELINE_STATUS = {
    ExecutionStatus.COMPLETED: PipelineStatus.SUCCESS,
    ExecutionStatus.ERROR: PipelineStatus.FAILURE,
    ExecutionStatus.STOPPED: PipelineStatus.FAILURE,
    ExecutionStatus.EXECUTING: PipelineStatus.INPROGRESS,
    ExecutionStatus.PENDING: PipelineStatus.YET_TO_START,
}


def pipeline_status_for(status: ExecutionStatus) -> PipelineStatus:
    """The pipeline status that goes with an execution status."""
    return _PIPELINE_STATUS[status]
