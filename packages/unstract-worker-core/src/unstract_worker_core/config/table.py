"""The table of environment variables: which variable feeds which field, how it is read, what it is for."""

from collections.abc import Mapping
from types import MappingProxyType

from unstract_worker_core.config import parsers as p
from unstract_worker_core.config import sections
from unstract_worker_core.config.declarations import Declaration, Section
from unstract_worker_core.config.secret import Secret
from unstract_worker_core.config.settings import Settings
from unstract_worker_core.config.urls import BrokerSource, ChordSource, redis_url
from unstract_worker_core.statuses import WorkerType

__all__ = ["DEVELOPMENT_KEY", "SECTIONS"]

DEVELOPMENT_KEY = "dev-internal-key-123"
_MANY = 2**31
_DAY = 86400
_NONE: Mapping[WorkerType, object] = MappingProxyType({})


def _is(
    name: str,
    variables: str,
    parse: p.Parser,
    purpose: str,
    *,
    shown: str = "",
    development: object = None,
    per_worker: Mapping[WorkerType, object] = _NONE,
) -> Declaration:
    return Declaration(name, tuple(variables.split()), parse, purpose, shown, development, per_worker)


def _celery(setting: str) -> str:
    return f"{{TYPE}}_{setting} CELERY_{setting}"


def _prefix(name: str, variable: str) -> Declaration:
    purpose = "path below the base URL"
    return _is(f"{name}_prefix", f"INTERNAL_API_{variable}_PREFIX", p.path_prefix, purpose)


_PORTS = dict(zip(WorkerType, (8080, 8081, 8082, 8083), strict=True))
_FILES_ONLY = WorkerType.FILE_PROCESSING

# fmt: off
_BACKEND = (
    _is("base_url", "INTERNAL_API_BASE_URL", p.http_url, "URL of the internal API, with `/internal`",
        development="http://127.0.0.1:8000/internal"),
    _is("api_key", "INTERNAL_SERVICE_API_KEY", p.secret, "bearer key, equal to the backend's",
        development=Secret(DEVELOPMENT_KEY)),
    _is("timeout", "INTERNAL_API_TIMEOUT", p.seconds(1, 600), "limit of one attempt of a call"),
    _is("total_timeout", "INTERNAL_API_TOTAL_TIMEOUT", p.seconds(1, 3600), "limit of a call with its retries",
        shown="120, at least the limit of one attempt"),
    _is("retry_attempts", "INTERNAL_API_RETRY_ATTEMPTS", p.integer(0, 10), "tries after the first"),
    _is("retry_backoff", "INTERNAL_API_RETRY_BACKOFF_FACTOR", p.seconds(0, 60), "first wait between tries"),
    _is("file_execution_timeout", "FILE_EXECUTION_TIMEOUT", p.seconds(1, _DAY), "limit of executing a file"),
    _is("max_body_bytes", "INTERNAL_API_MAX_BODY_BYTES", p.integer(65536, 2**30), "largest answer read"),
    _is("breaker_threshold", "CIRCUIT_BREAKER_FAILURE_THRESHOLD", p.integer(1, 1000), "failures to open"),
    _is("breaker_recovery", "CIRCUIT_BREAKER_RECOVERY_TIMEOUT", p.seconds(1, 3600), "wait before a new try"),
    _is("ca_file", "INTERNAL_API_CA_FILE", p.text, "CA bundle that is trusted besides the system's"),
    _prefix("health", "HEALTH"),
    _prefix("workflow", "WORKFLOW"),
    _prefix("workflow_manager", "WORKFLOW_MANAGER"),
    _prefix("tool_execution", "TOOL_EXECUTION"),
    _prefix("file_execution", "FILE_EXECUTION"),
    _prefix("file_history", "FILE_HISTORY"),
    _prefix("webhook", "WEBHOOK"),
    _prefix("deployments", "DEPLOYMENTS"),
)
_BROKER = (
    _is("base_url", "CELERY_BROKER_BASE_URL", p.secret,
        "broker: redis, rediss, sentinel, amqp or amqps URL; several separated by `;`"),
    _is("user", "CELERY_BROKER_USER", p.text, "user that is put into the broker URL"),
    _is("password", "CELERY_BROKER_PASS", p.secret, "password that is put into the broker URL"),
    _is("ha_queues", "RABBITMQ_HA_ENABLED", p.flag, "queues are quorum queues"),
    _is("heartbeat", _celery("BROKER_HEARTBEAT"), p.integer(0, 3600), "AMQP heartbeat, 0 for none"),
    _is("sentinel_master", "CELERY_BROKER_SENTINEL_MASTER_NAME", p.text, "master of a sentinel:// broker"),
    _is("ca_file", "CELERY_BROKER_SSL_CA_CERTS", p.text,
        "CA bundle for a rediss or amqps broker, instead of the system's"),
)
_REDIS = (
    _is("host", "{PREFIX}HOST", p.text, "host; in Sentinel mode a comma list of sentinels"),
    _is("port", "{PREFIX}PORT", p.integer(1, 65535), "port"),
    _is("db", "{PREFIX}DB", p.integer(0, 65535), "database number"),
    _is("username", "{PREFIX}USERNAME {PREFIX}USER", p.text, "ACL user"),
    _is("password", "{PREFIX}PASSWORD", p.secret, "password"),
    _is("ssl", "{PREFIX}SSL", p.flag, "speak TLS"),
    _is("ssl_cert_reqs", "{PREFIX}SSL_CERT_REQS", p.choice("required", "optional", "none"), "check"),
    _is("ssl_ca_file", "{PREFIX}SSL_CA_CERTS", p.text, "CA bundle for TLS"),
    _is("sentinel", "{PREFIX}SENTINEL_MODE", p.flag, "ask Sentinel for the master"),
    _is("sentinel_master", "{PREFIX}SENTINEL_MASTER_NAME", p.text, "name of the master"),
    _is("sentinel_password", "{PREFIX}SENTINEL_PASSWORD", p.secret, "password of the sentinels"),
)
_LEDGER = (
    _is("lease_seconds", "WORKER_LEASE_SECONDS", p.seconds(1, 3600), "lease of a claimed batch"),
    _is("sweep_seconds", "WORKER_SWEEP_SECONDS", p.seconds(0.1, 600), "pause between two sweeps"),
    _is("first_ring_wait", "WORKER_FIRST_RING_WAIT", p.seconds(0.1, 3600), "wait before a second ring"),
    _is("max_ring_wait", "WORKER_MAX_RING_WAIT", p.seconds(0.1, _DAY), "longest wait between two rings"),
    _is("tombstone_seconds", "WORKER_TOMBSTONE_SECONDS", p.seconds(_DAY, 30 * _DAY), "memory of a done run"),
    _is("recheck_seconds", "WORKER_RECHECK_SECONDS", p.seconds(1, _DAY), "second look at the final status",
        shown="lease + limit of a call"),
    _is("max_file_result_bytes", "MAX_FILE_RESULT_BYTES", p.integer(1024, 2**28), "largest result of a file"),
    _is("orchestrate_attempts", "WORKER_ORCHESTRATE_ATTEMPTS", p.integer(1, 100), "tries to start a run"),
    _is("dead_letter_limit", "WORKER_DEAD_LETTER_LIMIT", p.integer(1, 100000), "dead letters that are kept"),
)
_PROCESS = (
    _is("pool", "{TYPE}_POOL_TYPE {TYPE}_POOL CELERY_POOL_TYPE CELERY_POOL", p.choice("threads", "prefork"),
        "threads or prefork"),
    _is("concurrency", f"WORKER_{{TYPE}}_CONCURRENCY {_celery('CONCURRENCY')}", p.integer(1, 1000),
        "slots: tasks at a time", shown="16; prefork 4"),
    _is("queues", "CELERY_QUEUES_{TYPE}", p.names,
        "comma list that replaces the platform queues; doorbell queues are consumed always"),
    _is("hostname", "CELERY_HOSTNAME", p.text, "Celery node name", shown="`<type>-<instance>@%h`"),
    _is("health_enabled", "ENABLE_HEALTH_SERVER", p.flag, "serve health and metrics over HTTP"),
    _is("health_host", "WORKER_HEALTH_HOST", p.text, "where to listen for them", development="127.0.0.1"),
    _is("health_port", "{TYPE}_HEALTH_PORT", p.integer(0, 65535), "their port; 0 takes a free one",
        per_worker=_PORTS),
    _is("liveness_seconds", "WORKER_LIVENESS_SECONDS", p.seconds(1, _DAY),
        "not alive: work due this long, no claim this long, and a free slot"),
    _is("stuck_slot_seconds", "WORKER_STUCK_SLOT_SECONDS", p.seconds(1, 2 * _DAY),
        "a slot without progress this long ends the process", shown="limit of a file + of a call + lease"),
    _is("drain_seconds", "WORKER_DRAIN_SECONDS", p.seconds(0, 3600), "time to finish after SIGTERM"),
    _is("soft_time_limit", f"{_celery('TASK_SOFT_TIME_LIMIT')} CELERY_SOFT_TIME_LIMIT", p.integer(1, _DAY),
        "soft limit of a task", per_worker={_FILES_ONLY: 6300}),
    _is("time_limit", f"{_celery('TASK_TIME_LIMIT')} CELERY_TIME_LIMIT", p.integer(1, _DAY),
        "hard limit of a task; with threads the deadline of a batch", per_worker={_FILES_ONLY: 7200}),
    _is("max_tasks_per_child", f"{_celery('MAX_TASKS_PER_CHILD')} CELERY_WORKER_MAX_TASKS_PER_CHILD",
        p.integer(1, _MANY), "tasks after which a prefork child is replaced"),
    _is("max_memory_mb", "WORKER_MAX_MEMORY_MB", p.integer(64, 2**20),
        "MiB at which a prefork child is replaced or a threads process drains"),
    _is("metrics_dir", "PROMETHEUS_MULTIPROC_DIR", p.text,
        "where prefork children share their metrics, in a folder made for it", shown="the temporary folder"),
)
_LOGGING = (
    _is("level", f"{_celery('LOG_LEVEL')} LOG_LEVEL",
        p.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "least level that is logged"),
    _is("format", "WORKER_LOG_FORMAT", p.choice("json", "console"), "one JSON object a line, or for reading",
        development="console"),
    _is("file", "LOG_FILE", p.text, "file that receives the log as well; opened again after logrotate renamed it"),
)
_FILES = (
    _is("max_parallel_batches", "MAX_PARALLEL_FILE_BATCHES", p.clamped(1, 100),
        "batches of an execution, where the backend names no number"),
    _is("result_ttl_seconds", "EXECUTION_RESULT_TTL_SECONDS", p.integer(60, _MANY), "life of API results"),
    _is("active_file_ttl_seconds", "ACTIVE_FILE_CACHE_TTL", p.clamped(60, 9000), "life of a mark of use"),
    _is("logs_ttl_seconds", "LOGS_EXPIRATION_TIME_IN_SECOND", p.integer(1, _MANY), "life of UI logs"),
    _is("status_seconds", "WORKER_STATUS_SECONDS", p.seconds(0, 60),
        "how long the statuses of files are collected before they are written together, and how old an execution's own "
        "may be; 0: neither"),
    _is("executor", "WORKER_FILE_EXECUTOR", p.text, "name of the file executor"),
    _is("api_dir_prefix", "API_EXECUTION_DIR_PREFIX", p.text, "staging of API uploads; contains `/api`"),
)
_CHORD = (
    _is("enabled", "CHORD_COMPAT", p.flag, "serve chords of today's workers (needs the extra `chord`)"),
    _is("retry_interval", _celery("RESULT_CHORD_RETRY_INTERVAL"), p.seconds(0.1, 3600),
        "wait between two looks at a chord's results"),
    _is("result_backend", "CELERY_RESULT_BACKEND", p.secret, "chord result backend, instead of the next six"),
    _is("host", "CELERY_BACKEND_DB_HOST DB_HOST", p.text, "chord result database: host"),
    _is("port", "CELERY_BACKEND_DB_PORT DB_PORT", p.integer(1, 65535), "chord result database: port"),
    _is("name", "CELERY_BACKEND_DB_NAME DB_NAME", p.text, "chord result database: name"),
    _is("user", "CELERY_BACKEND_DB_USER DB_USER", p.text, "chord result database: user"),
    _is("password", "CELERY_BACKEND_DB_PASSWORD DB_PASSWORD", p.secret, "chord result database: password"),
    _is("schema", "CELERY_BACKEND_DB_SCHEMA", p.text, "chord result database: schema"),
)
_WEBHOOK = (
    _is("timeout_cap", "WORKER_WEBHOOK_TIMEOUT_CAP", p.seconds(1, 120), "cap of the timeout in a message"),
    _is("deadline_seconds", "WORKER_WEBHOOK_DEADLINE", p.seconds(1, 120), "limit of one delivery"),
    _is("body_limit", "WORKER_WEBHOOK_BODY_LIMIT", p.integer(0, 2**20), "bytes of an answer that are read"),
    _is("attempts", "WORKER_WEBHOOK_ATTEMPTS", p.integer(1, 20), "cap of the tries of a delivery"),
    _is("per_host", "WORKER_WEBHOOK_PER_HOST", p.integer(1, 100), "deliveries at a time to one host, a process"),
    _is("allowed_ports", "WEBHOOK_ALLOWED_PORTS", p.ports, "ports of public addresses that may be called"),
    _is("allowed_hosts", "WEBHOOK_ALLOWED_HOSTS", p.hosts,
        "host names that may be called whatever their address and port"),
    _is("allowed_networks", "WEBHOOK_ALLOWED_NETWORKS", p.networks,
        "networks that may be called, internal ones included, on any port"),
    _is("signing_secret", "WEBHOOK_SIGNING_SECRET", p.signing_secret,
        "signs deliveries as Standard Webhooks does: `whsec_` and base64 of 24 to 64 bytes"),
    _is("ca_file", "WEBHOOK_CA_FILE", p.text, "CA bundle that is trusted besides the well-known ones"),
)
_TRACING = (
    _is("endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", p.any_http_url,
        "collector that traces are sent to over OTLP/HTTP, below `/v1/traces` (extra `otel`)"),
    _is("traces_endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", p.any_http_url, "the same, as a whole URL"),
    _is("headers", "OTEL_EXPORTER_OTLP_TRACES_HEADERS OTEL_EXPORTER_OTLP_HEADERS", p.secret,
        "headers for it, as `name=value,name=value`"),
    _is("ratio", "OTEL_TRACES_SAMPLER_ARG", p.share, "share of the executions that are traced, 0 to 1"),
    _is("service_name", "OTEL_SERVICE_NAME", p.text, "name of this worker in traces", shown="the distribution's"),
)
_TRAFFIC = (
    _is("organizations", "WORKER_TRAFFIC_ORGANIZATIONS", p.names, "organizations that are taken whole"),
    _is("percent", "WORKER_TRAFFIC_PERCENT", p.integer(0, 100), "share of the other executions",
        shown="100; 0 where organizations are listed"),
    _is("forward_suffix", "WORKER_TRAFFIC_FORWARD_SUFFIX", p.queue_suffix,
        "what is not ours goes to its queue's name with this at the end, such as `_today`; needed below 100 percent"),
)
_OWN = (
    _is("name", "WORKER_NAME", p.text, "name in logs"),
    _is("version", "WORKER_VERSION", p.text, "version told to the backend", shown="the distribution's"),
    _is("instance", "WORKER_INSTANCE_ID HOSTNAME", p.text, "name of this process", shown="the host's name"),
    _is("ledger_redis", "WORKER_LEDGER_REDIS_URL", redis_url, "Redis of the run ledger",
        shown="the platform's, REDIS_*"),
    _is("organizations", "WORKER_ORGANIZATIONS", p.names, "organizations that rescue looks at"),
    _is("rescue_unseen_after", "RESCUE_UNSEEN_AFTER", p.seconds(1, _MANY),
        "age of an execution that the ledger never saw before it is rescued; unset: never"),
    _is("crash_testing", "WORKER_CRASH_TESTING", p.flag, "for tests: lets WORKER_CRASH_POINT have its effect"),
    _is("crash_point", "WORKER_CRASH_POINT", p.crash_point,
        "for tests: where this worker kills itself, as `name[:nth][:group]`"),
)
# fmt: on

SECTIONS: tuple[Section, ...] = (
    Section(sections.BackendSettings, _BACKEND),
    Section(BrokerSource, _BROKER),
    Section(sections.RedisSettings, _REDIS, ("REDIS_", "CACHE_REDIS_")),
    Section(Settings, _OWN),
    Section(sections.LedgerSettings, _LEDGER),
    Section(sections.ProcessSettings, _PROCESS),
    Section(sections.LoggingSettings, _LOGGING),
    Section(sections.FileSettings, _FILES),
    Section(sections.WebhookSettings, _WEBHOOK),
    Section(sections.TrafficSettings, _TRAFFIC),
    Section(sections.TracingSettings, _TRACING),
    Section(ChordSource, _CHORD),
)
