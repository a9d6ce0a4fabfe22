"""Queues as data: which worker consumes what, which doorbell rings where, and when to add a replica."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from attrs import frozen

from unstract_worker_core.config.settings import Settings
from unstract_worker_core.statuses import WorkerType

ORCHESTRATE_TASK = "unstract_worker.orchestrate"
PROCESS_BATCH_TASK = "unstract_worker.process_batch"
FINALISE_TASK = "unstract_worker.finalise"
DELIVER_TASK = "unstract_worker.deliver"
# Answers of executors that answer later. Always a classic queue without arguments, as the executor's publisher declares
# it: with another declaration RabbitMQ would refuse the answers, and they would be lost.
EXECUTOR_ANSWERS_QUEUE = "uw_executor_answers"
EXECUTOR_ANSWER_TASK = "unstract_worker.executor_answer"
EXECUTOR_FAILURE_TASK = "unstract_worker.executor_failure"
# The UI log: published raw, declared and consumed by the platform.
LOG_QUEUE = "celery_log_task_queue"
LOG_TASK = "logs_consumer"


class Doorbell(StrEnum):
    """What a doorbell asks for. Its queue is consumed by our workers only."""

    ORCHESTRATE_API = "orchestrate_api"
    ORCHESTRATE = "orchestrate"
    FILES = "files"
    API_FILES = "api_files"
    CALLBACK = "callback"
    DELIVER = "deliver"


DOORBELL_QUEUES: Mapping[Doorbell, str] = MappingProxyType({bell: f"uw_{bell.value}" for bell in Doorbell})
DOORBELL_TASKS: Mapping[Doorbell, str] = MappingProxyType(
    {
        Doorbell.ORCHESTRATE_API: ORCHESTRATE_TASK,
        Doorbell.ORCHESTRATE: ORCHESTRATE_TASK,
        Doorbell.FILES: PROCESS_BATCH_TASK,
        Doorbell.API_FILES: PROCESS_BATCH_TASK,
        Doorbell.CALLBACK: FINALISE_TASK,
        Doorbell.DELIVER: DELIVER_TASK,
    }
)


@frozen
class ScalingRule:
    """When an autoscaler adds or removes replicas of a worker.

    Attributes:
        waiting_per_replica: messages waiting in all its queues that justify one more replica.
        running_per_replica: slots in use that justify one replica. Less than its slots, so that a busy fleet grows
            before it is full and does not shrink while it works.
        cooldown_seconds: how long fewer replicas must suffice before one is removed.
    """

    waiting_per_replica: int
    max_replicas: int
    cooldown_seconds: int
    running_per_replica: int = 12
    min_replicas: int = 1


@frozen
class WorkerQueues:
    """The queues of one worker type: the platform's (an operator may replace them), our doorbells, and answers."""

    worker: WorkerType
    platform: tuple[str, ...]
    doorbells: tuple[Doorbell, ...]
    scaling: ScalingRule
    answers: tuple[str, ...] = ()

    @property
    def doorbell_queues(self) -> tuple[str, ...]:
        """Names of the doorbell queues."""
        return tuple(DOORBELL_QUEUES[bell] for bell in self.doorbells)

    @property
    def own(self) -> tuple[str, ...]:
        """Names of the queues that only our workers consume, and always do: doorbells and answers."""
        return (*self.doorbell_queues, *self.answers)


@frozen
class Route:
    """The queue that a task goes to when its sender names none."""

    task: str
    queue: str


WORKER_QUEUES: tuple[WorkerQueues, ...] = (
    WorkerQueues(
        WorkerType.API_DEPLOYMENT,
        ("celery_api_deployments",),
        (Doorbell.ORCHESTRATE_API,),
        ScalingRule(waiting_per_replica=20, max_replicas=10, cooldown_seconds=120),
    ),
    WorkerQueues(
        WorkerType.GENERAL,
        ("celery", "notifications"),
        (Doorbell.ORCHESTRATE, Doorbell.DELIVER),
        ScalingRule(waiting_per_replica=20, max_replicas=10, cooldown_seconds=120),
    ),
    # Files take minutes: add a replica early, and do not interrupt a batch to remove one.
    WorkerQueues(
        WorkerType.FILE_PROCESSING,
        ("file_processing", "api_file_processing"),
        (Doorbell.FILES, Doorbell.API_FILES),
        ScalingRule(waiting_per_replica=8, max_replicas=40, cooldown_seconds=300),
        (EXECUTOR_ANSWERS_QUEUE,),
    ),
    # At least one: the sweeper lives here.
    WorkerQueues(
        WorkerType.CALLBACK,
        ("file_processing_callback", "api_file_processing_callback"),
        (Doorbell.CALLBACK,),
        ScalingRule(waiting_per_replica=50, max_replicas=6, cooldown_seconds=120),
    ),
)

# Prefix of the second name that today's workers give their tasks.
TASK_PREFIX = "workflow_manager.workflow_v2.file_execution_tasks."
ROUTES: tuple[Route, ...] = (
    Route("async_execute_bin", "celery"),
    Route("async_execute_bin_general", "celery"),
    Route("async_execute_bin_api", "celery_api_deployments"),
    Route("scheduler.tasks.execute_pipeline_task", "celery"),
    Route("execute_pipeline_task_v2", "celery"),
    Route("send_webhook_notification", "notifications"),
    Route("process_file_batch", "file_processing"),
    Route(TASK_PREFIX + "process_file_batch", "file_processing"),
    Route("process_file_batch_api", "api_file_processing"),
    Route("process_batch_callback", "file_processing_callback"),
    Route(TASK_PREFIX + "process_batch_callback", "file_processing_callback"),
    Route("process_batch_callback_api", "api_file_processing_callback"),
    Route(LOG_TASK, LOG_QUEUE),
    Route(ORCHESTRATE_TASK, DOORBELL_QUEUES[Doorbell.ORCHESTRATE]),
    Route(PROCESS_BATCH_TASK, DOORBELL_QUEUES[Doorbell.FILES]),
    Route(FINALISE_TASK, DOORBELL_QUEUES[Doorbell.CALLBACK]),
    Route(DELIVER_TASK, DOORBELL_QUEUES[Doorbell.DELIVER]),
    Route(EXECUTOR_ANSWER_TASK, EXECUTOR_ANSWERS_QUEUE),
    Route(EXECUTOR_FAILURE_TASK, EXECUTOR_ANSWERS_QUEUE),
)


def queues_of(worker: WorkerType) -> WorkerQueues:
    """The queues of a worker type."""
    return next(entry for entry in WORKER_QUEUES if entry.worker is worker)


def consumed_queues(settings: Settings) -> tuple[str, ...]:
    """What a worker consumes: CELERY_QUEUES_{TYPE} or the platform's queues, and always our own queues."""
    queues = queues_of(settings.worker)
    platform = settings.process.queues or queues.platform
    return tuple(dict.fromkeys((*platform, *queues.own)))


def queue_for(task: str) -> str | None:
    """The queue of a task sent without one; None where the task is not known."""
    return next((route.queue for route in ROUTES if route.task == task), None)
