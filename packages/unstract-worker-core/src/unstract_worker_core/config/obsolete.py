"""Variables of today's workers that are accepted without effect, each with its reason."""

from collections.abc import Mapping

from attrs import frozen

from unstract_worker_core.statuses import WorkerType


@frozen
class Obsolete:
    """Variables that share a reason for having no effect. ``*_X`` means ``{TYPE}_X`` and ``CELERY_X``."""

    reason: str
    names: tuple[str, ...]


# fmt: off
_NAMES_BY_REASON = {
    "guards the run ledger and is fixed":
        "*_TASK_ACKS_LATE *_TASK_ACKS_ON_FAILURE_OR_TIMEOUT *_TASK_ACKS_ON_FAILURE *_TASK_ACKS_ON_TIMEOUT "
        "*_TASK_REJECT_ON_WORKER_LOST *_PREFETCH_MULTIPLIER *_WORKER_PREFETCH_MULTIPLIER *_WORKER_DISABLE_PREFETCH "
        "*_TASK_SERIALIZER *_RESULT_SERIALIZER *_ACCEPT_CONTENT *_TASK_IGNORE_RESULT "
        "*_WORKER_ENABLE_REMOTE_CONTROL *_POOL_RESTARTS *_TASK_CREATE_MISSING_QUEUES *_VISIBILITY_TIMEOUT "
        "*_BROKER_TRANSPORT_OPTIONS *_WORKER_DEDUPLICATE_SUCCESSFUL_TASKS "
        "*_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS *_WORKER_SOFT_SHUTDOWN_TIMEOUT "
        "*_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE *_WORKER_PROC_ALIVE_TIMEOUT *_BROKER_CONNECTION_MAX_RETRIES "
        "*_BROKER_CONNECTION_RETRY_ON_STARTUP",
    "a second layer of retries would apply things twice":
        "*_TASK_DEFAULT_RETRY_DELAY *_TASK_MAX_RETRIES REDIS_RETRY_MAX_ATTEMPTS REDIS_RETRY_BACKOFF_FACTOR "
        "UNSTRACT_RUNNER_API_RETRY_COUNT UNSTRACT_RUNNER_API_BACKOFF_FACTOR",
    "events, gossip, mingle and heartbeats are off: nothing here needs them":
        "*_SEND_TASK_EVENTS *_TASK_SEND_SENT_EVENT CELERY_WORKER_GOSSIP CELERY_WORKER_MINGLE "
        "CELERY_WORKER_HEARTBEAT *_HEARTBEAT_KEEPER_SHUTDOWN_INTERVAL *_HEARTBEAT_KEEPER_CHECK_INTERVAL "
        "*_HEARTBEAT_KEEPER_MAX_ERRORS",
    "times are UTC and no task is rate limited":
        "*_TIMEZONE *_ENABLE_UTC *_DISABLE_RATE_LIMITS",
    "set the number of slots, and scale by replicas":
        "*_AUTOSCALE MAX_CONCURRENT_TASKS CONCURRENCY_MODE",
    "the entry point builds its own command":
        "CELERY_EXTRA_ARGS CELERY_APP_MODULE",
    "today's workers do not read it either; set CELERY_TASK_TIME_LIMIT and CELERY_TASK_SOFT_TIME_LIMIT":
        "TASK_TIME_LIMIT TASK_SOFT_TIME_LIMIT",
    "fan-in goes through the run ledger":
        "WORKER_BARRIER_BACKEND WORKER_BARRIER_KEY_TTL_SECONDS",
    "each thread has its own client":
        "API_CLIENT_POOL_SIZE ENABLE_API_CLIENT_SINGLETON WORKER_SINGLETON_RESET_THRESHOLD",
    "settings and organizations are arguments and are not cached":
        "ENABLE_ORGANIZATION_CONTEXT_CACHE ENABLE_CONFIG_CACHE CONFIG_CACHE_TTL",
    "no call is made below that path":
        "INTERNAL_API_ORGANIZATION_PREFIX INTERNAL_API_EXECUTION_PREFIX INTERNAL_API_TOOL_PREFIX "
        "INTERNAL_API_DEPLOYMENTS_PREFIX INTERNAL_API_PREFIX INTERNAL_API_VERSION",
    "which errors open the breaker is fixed":
        "CIRCUIT_BREAKER_EXPECTED_EXCEPTION",
    "the marks of files in use are always kept":
        "CACHE_REDIS_ENABLED",
    "there is no Postgres queue transport":
        "FLIPT_SERVICE_AVAILABLE",
    "health and metrics share {TYPE}_HEALTH_PORT and are asked, not polled":
        "HEALTH_PORT METRICS_PORT {TYPE}_METRICS_PORT ENABLE_METRICS HEALTH_CHECK_INTERVAL HEALTH_CHECK_TIMEOUT",
    "the run ledger replaces the file and tool trackers":
        "FILE_EXECUTION_TRACKER_TTL_IN_SECOND FILE_EXECUTION_TRACKER_COMPLETED_TTL_IN_SECOND "
        "DESTINATION_PROCESSING_LOCK_TTL_IN_SECOND DESTINATION_PROCESSING_STAGE_TTL_IN_SECOND "
        "TOOL_EXECUTION_CACHE_TTL_IN_SECOND TOOL_EXECUTION_TRACKER_COMPLETED_TTL_IN_SECOND",
    "no tool is run by the platform's runner":
        "UNSTRACT_RUNNER_HOST UNSTRACT_RUNNER_PORT UNSTRACT_RUNNER_API_TIMEOUT",
    "name other queues with CELERY_QUEUES_GENERAL":
        "NOTIFICATION_QUEUE_NAME",
    "is the backend's":
        "EXECUTION_CACHE_TTL_SECONDS FILE_ACTIVE_CACHE_REDIS_DB MAX_FILE_EXECUTION_COUNT NOTIFICATION_TIMEOUT "
        "NOTIFICATION_CLUB_INTERVAL NOTIFICATION_DISPATCH_LEASE_SECONDS NOTIFICATION_MAX_DISPATCH_ATTEMPTS",
}
# fmt: on
ACCEPTED_WITHOUT_EFFECT = tuple(Obsolete(reason, tuple(names.split())) for reason, names in _NAMES_BY_REASON.items())


# Celery reads these past our configuration (its own -b option sets the third): they are removed at the start.
CELERY_READS_ITSELF = (
    "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND",
    "CELERY_CONFIG_MODULE", "CELERY_LOADER",
)  # fmt: skip


def obsolete_warnings(environ: Mapping[str, str], worker: WorkerType) -> tuple[str, ...]:
    """One warning for each variable that is set and has no effect; names only."""
    return tuple(
        f"{variable} has no effect: {obsolete.reason}"
        for obsolete in ACCEPTED_WITHOUT_EFFECT
        for name in obsolete.names
        for variable in expanded(name, worker.value.upper())
        if environ.get(variable)
    )


def expanded(name: str, kind: str) -> tuple[str, ...]:
    """The variables that a name of the table stands for, for one worker type in upper case."""
    if name.startswith("*_"):
        return ("CELERY_" + name[2:], f"{kind}_{name[2:]}")
    return (name.replace("{TYPE}", kind),)
