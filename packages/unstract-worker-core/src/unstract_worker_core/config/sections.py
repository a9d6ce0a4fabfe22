"""The sections of the settings: plain frozen values, each field with its variable. Times are seconds."""

import re
from hashlib import sha256

from attrs import Factory, frozen

from unstract_worker_core.config import parsers as p
from unstract_worker_core.config.declarations import celery, env
from unstract_worker_core.config.parsers import Secret, StoreSettings, bare_host, join_host_port, split_host_ports
from unstract_worker_core.statuses import WorkerType

PLATFORM_EXECUTOR = "platform"
DEVELOPMENT_KEY = "dev-internal-key-123"
_MANY = 2**31
_DAY = 86400
_BELOW = "path below the base URL"
_PORTS = dict(zip(WorkerType, (8080, 8081, 8082, 8083), strict=True))
_FILES_ONLY = WorkerType.FILE_PROCESSING

# A variable on one or two lines, not one argument a line.
# fmt: off


@frozen
class BackendSettings:
    """The internal API. `timeout` bounds one attempt of a call, `total_timeout` the call with its retries."""

    base_url: str = env("INTERNAL_API_BASE_URL", p.http_url, "URL of the internal API, with `/internal`",
        development="http://127.0.0.1:8000/internal")
    api_key: Secret = env("INTERNAL_SERVICE_API_KEY", p.secret, "bearer key, equal to the backend's",
        development=Secret(DEVELOPMENT_KEY))
    timeout: float = env("INTERNAL_API_TIMEOUT", p.seconds(1, 600), "limit of one attempt of a call", default=30.0)
    total_timeout: float = env("INTERNAL_API_TOTAL_TIMEOUT", p.seconds(1, 3600), "limit of a call with its retries",
        default=Factory(lambda self: max(120.0, self.timeout), takes_self=True),
        shown="120, at least the limit of one attempt")
    retry_attempts: int = env("INTERNAL_API_RETRY_ATTEMPTS", p.integer(0, 10), "retries after the first attempt",
        default=3)
    retry_backoff: float = env("INTERNAL_API_RETRY_BACKOFF_FACTOR", p.seconds(0, 60), "first wait between attempts",
        default=1.0)
    file_execution_timeout: float = env("FILE_EXECUTION_TIMEOUT", p.seconds(1, _DAY), "limit of executing a file",
        default=3600.0)
    max_body_bytes: int = env("INTERNAL_API_MAX_BODY_BYTES", p.integer(65536, 2**30), "largest answer read",
        default=32 * 1024 * 1024)
    breaker_threshold: int = env("CIRCUIT_BREAKER_FAILURE_THRESHOLD", p.integer(1, 1000), "failures to open", default=5)
    breaker_recovery: float = env("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", p.seconds(1, 3600),
        "longest time between two trials while it is open; the first one comes after 5 s", default=10.0)
    ca_file: str | None = env("INTERNAL_API_CA_FILE", p.text, "CA bundle that is trusted besides the system's",
        default=None)
    health_prefix: str = env("INTERNAL_API_HEALTH_PREFIX", p.path_prefix, _BELOW, default="v1/health/")
    workflow_prefix: str = env("INTERNAL_API_WORKFLOW_PREFIX", p.path_prefix, _BELOW, default="v1/workflow-execution/")
    workflow_manager_prefix: str = env("INTERNAL_API_WORKFLOW_MANAGER_PREFIX", p.path_prefix, _BELOW,
        default="v1/workflow-manager/")
    tool_execution_prefix: str = env("INTERNAL_API_TOOL_EXECUTION_PREFIX", p.path_prefix, _BELOW,
        default="v1/tool-execution/")
    file_execution_prefix: str = env("INTERNAL_API_FILE_EXECUTION_PREFIX", p.path_prefix, _BELOW,
        default="v1/file-execution/")
    file_history_prefix: str = env("INTERNAL_API_FILE_HISTORY_PREFIX", p.path_prefix, _BELOW,
        default="v1/file-history/")
    webhook_prefix: str = env("INTERNAL_API_WEBHOOK_PREFIX", p.path_prefix, _BELOW, default="v1/webhook/")
    platform_settings_prefix: str = env("INTERNAL_API_PLATFORM_SETTINGS_PREFIX", p.path_prefix, _BELOW,
        default="v1/platform-settings/")


@frozen
class BrokerSettings:
    """Where messages come from. `url` carries the credentials, percent-encoded; several joined by ``;``."""

    url: Secret
    ha_queues: bool = False
    heartbeat: int = 5
    sentinel_master: str = "mymaster"
    sentinel_username: str | None = None
    sentinel_password: Secret | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def scheme(self) -> str:
        """``redis``, ``rediss``, ``sentinel``, ``amqp`` or ``amqps``."""
        return self.url.reveal().partition("://")[0]

    @property
    def is_redis(self) -> bool:
        """Whether the broker is Redis, directly or behind Sentinel."""
        return self.scheme in ("redis", "rediss", "sentinel")

    @property
    def location(self) -> str:
        """Where it is, for a log line: no credentials, no options."""
        bare = (re.sub(r"://[^/?]*@", "://", url).partition("?")[0] for url in self.url.reveal().split(";"))
        return ";".join(bare)


@frozen
class RedisSettings:
    """One Redis role. In Sentinel mode `host` is a comma list of sentinels, with or without ``:port``."""

    host: str = env("{PREFIX}HOST", p.text, "host; in Sentinel mode a comma list of sentinels", default="localhost")
    port: int = env("{PREFIX}PORT", p.integer(1, 65535), "port", default=6379)
    db: int = env("{PREFIX}DB", p.integer(0, 65535), "database number", default=0)
    username: str | None = env("{PREFIX}USERNAME {PREFIX}USER", p.text, "ACL user", default=None)
    password: Secret | None = env("{PREFIX}PASSWORD", p.secret, "password", default=None)
    ssl: bool = env("{PREFIX}SSL", p.flag, "speak TLS", default=False)
    ssl_cert_reqs: str = env("{PREFIX}SSL_CERT_REQS", p.choice("required", "optional", "none"), "check",
        default="required")
    ssl_ca_file: str | None = env("{PREFIX}SSL_CA_CERTS", p.text, "CA bundle for TLS", default=None)
    ssl_cert_file: str | None = env("{PREFIX}SSL_CERTFILE", p.text, "client certificate for TLS", default=None)
    ssl_key_file: str | None = env("{PREFIX}SSL_KEYFILE", p.text, "its key, not encrypted", default=None)
    sentinel: bool = env("{PREFIX}SENTINEL_MODE", p.flag, "ask Sentinel for the master", default=False)
    sentinel_master: str = env("{PREFIX}SENTINEL_MASTER_NAME", p.text, "name of the master", default="mymaster")
    sentinel_username: str | None = env("{PREFIX}SENTINEL_USERNAME", p.text, "ACL user of the sentinels", default=None)
    sentinel_password: Secret | None = env("{PREFIX}SENTINEL_PASSWORD", p.secret, "password of the sentinels",
        default=None)

    @property
    def nodes(self) -> tuple[tuple[str, int], ...]:
        """The (host, port) pairs to connect to: one server, or the sentinels."""
        return split_host_ports(self.host, self.port) if self.sentinel else ((bare_host(self.host), self.port),)

    @property
    def location(self) -> str:
        """Where it is, for a log line: no credentials."""
        where = ",".join(join_host_port(host, port) for host, port in self.nodes)
        return f"{where}/{self.db}" + (f" (sentinel, {self.sentinel_master})" if self.sentinel else "")


@frozen
class LedgerSettings:
    """The run ledger.

    A lease is renewed after a third of its length, so that a process may pause for the other two thirds: 12 s by
    default. The work of a killed process continues after a lease and a sweep with its jitter: within 22 s by default.
    Lost doorbells are rung again after `first_ring_wait` and a sweep.
    """

    lease_seconds: float = env("WORKER_LEASE_SECONDS", p.seconds(1, 3600), "lease of a claimed batch", default=18.0)
    sweep_seconds: float = env("WORKER_SWEEP_SECONDS", p.seconds(0.1, 600), "pause between two sweeps", default=3.0)
    first_ring_wait: float = env("WORKER_FIRST_RING_WAIT", p.seconds(0.1, 3600), "wait before a second ring",
        default=15.0)
    max_ring_wait: float = env("WORKER_MAX_RING_WAIT", p.seconds(0.1, _DAY), "longest wait between two rings",
        default=600.0)
    tombstone_seconds: float = env("WORKER_TOMBSTONE_SECONDS", p.seconds(_DAY, 30 * _DAY), "memory of a done run",
        default=172800.0)
    recheck_seconds: float = env("WORKER_RECHECK_SECONDS", p.seconds(1, _DAY), "second look at the final status",
        default=138.0, shown="lease + limit of a call")
    max_file_result_bytes: int = env("MAX_FILE_RESULT_BYTES", p.integer(1024, 2**28), "largest result of a file",
        default=5 * 1024 * 1024)
    orchestrate_attempts: int = env("WORKER_ORCHESTRATE_ATTEMPTS", p.integer(1, 100), "attempts to start a run",
        default=5)
    dead_letter_limit: int = env("WORKER_DEAD_LETTER_LIMIT", p.integer(1, 100000), "dead letters that are kept",
        default=1000)


@frozen
class ProcessSettings:
    """The process: pool, slots, queues, health endpoint, limits. No `queues`: the worker type's own."""

    pool: str = env("{TYPE}_POOL_TYPE {TYPE}_POOL CELERY_POOL_TYPE CELERY_POOL", p.choice("threads", "prefork"),
        "threads or prefork", default="threads")
    concurrency: int = env(f"WORKER_{{TYPE}}_CONCURRENCY {celery('CONCURRENCY')}", p.integer(1, 1000),
        "slots: tasks at a time", default=Factory(lambda self: 16 if self.pool == "threads" else 4, takes_self=True),
        shown="16; prefork 4")
    queues: tuple[str, ...] = env("CELERY_QUEUES_{TYPE}", p.names,
        "comma list that replaces the platform's queues; doorbell queues are always consumed", default=())
    hostname: str | None = env("CELERY_HOSTNAME", p.text, "Celery node name", default=None,
        shown="`<type>-<instance>@%h`")
    health_enabled: bool = env("ENABLE_HEALTH_SERVER", p.flag, "serve health and metrics over HTTP", default=True)
    health_host: str = env("WORKER_HEALTH_HOST", p.bare_host, "where to listen for them",
        default="0.0.0.0", development="127.0.0.1")  # noqa: S104 - probes come from outside the container
    health_port: int = env("{TYPE}_HEALTH_PORT", p.integer(0, 65535), "their port; 0 takes a free one", default=8080,
        per_worker=_PORTS)
    liveness_seconds: float = env("WORKER_LIVENESS_SECONDS", p.seconds(1, _DAY),
        "not alive if for this long work is due, nothing is claimed and a slot is free", default=300.0)
    stuck_slot_seconds: float = env("WORKER_STUCK_SLOT_SECONDS", p.seconds(1, 2 * _DAY),
        "a slot without progress this long ends the process", default=3780.0,
        shown="limit of a file + of a call + lease")
    drain_seconds: float = env("WORKER_DRAIN_SECONDS", p.seconds(0, 3600), "time to finish after SIGTERM", default=45.0)
    soft_time_limit: int = env(f"{celery('TASK_SOFT_TIME_LIMIT')} CELERY_SOFT_TIME_LIMIT", p.integer(1, _DAY),
        "soft limit of a task", default=3300, per_worker={_FILES_ONLY: 6300})
    time_limit: int = env(f"{celery('TASK_TIME_LIMIT')} CELERY_TIME_LIMIT", p.integer(1, _DAY),
        "hard limit of a task; with threads the deadline of a batch", default=3600, per_worker={_FILES_ONLY: 7200})
    max_tasks_per_child: int = env(f"{celery('MAX_TASKS_PER_CHILD')} CELERY_WORKER_MAX_TASKS_PER_CHILD",
        p.integer(1, _MANY), "tasks after which a prefork child is replaced", default=500)
    max_memory_mb: int = env("WORKER_MAX_MEMORY_MB", p.integer(64, 2**20),
        "MiB at which a prefork child is replaced or a threads process drains", default=512)
    metrics_dir: str | None = env("PROMETHEUS_MULTIPROC_DIR", p.text,
        "folder in which the folder for prefork children's metrics is made", default=None,
        shown="the temporary folder")


@frozen
class LoggingSettings:
    """What is logged and how: `format` is ``json`` or ``console``; `file` receives the log as well."""

    level: str = env(f"{celery('LOG_LEVEL')} LOG_LEVEL", p.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        "lowest level that is logged", default="INFO")
    format: str = env("WORKER_LOG_FORMAT", p.choice("json", "console"), "`json`, one object a line, or `console`",
        default="json", development="console")
    file: str | None = env("LOG_FILE", p.text,
        "file that receives the log as well; opened again after logrotate renamed it", default=None)


@frozen
class FileSettings:
    """How the files of an execution are treated."""

    max_parallel_batches: int = env("MAX_PARALLEL_FILE_BATCHES", p.clamped(1, 100),
        "batches of an execution, if the backend gives no number", default=1)
    result_ttl_seconds: int = env("EXECUTION_RESULT_TTL_SECONDS", p.integer(60, _MANY), "lifetime of API results",
        default=86400)
    active_file_ttl_seconds: int = env("ACTIVE_FILE_CACHE_TTL", p.clamped(60, 9000), "lifetime of a file's mark",
        default=300)
    logs_ttl_seconds: int = env("LOGS_EXPIRATION_TIME_IN_SECOND", p.integer(1, _MANY), "lifetime of UI logs",
        default=3600)
    executor: str = env("WORKER_FILE_EXECUTOR", p.text, "name of the file executor", default="backend")
    status_seconds: float = env("WORKER_STATUS_SECONDS", p.seconds(0, 60),
        "how long file statuses are collected before a write, and an execution's status is cached; 0: neither",
        default=1.0)
    api_dir_prefix: str | None = env("API_EXECUTION_DIR_PREFIX", p.text, "staging of API uploads; contains `/api`",
        default=None)


@frozen
class ExecutorSettings:
    """Deferred executors; from `service_host` on only for the `platform` executor. Read by file-processing.

    Attributes:
        result_timeout: how long the answer to a request is awaited.
        unsent_timeout: the same, where it is not known whether the request was sent.
        queue_limit: requests that may wait in the executor's queue before further files are put off.
    """

    result_timeout: float = env("EXECUTOR_RESULT_TIMEOUT", p.seconds(1, 7 * _DAY),
        "how long the answer of a deferred executor is awaited before the file is sent again",
        default=3600.0)
    unsent_timeout: float = env("WORKER_EXECUTOR_UNSENT_TIMEOUT", p.seconds(1, _DAY),
        "the same, where a worker died between intending to send the file and the broker's confirm", default=300.0)
    queue_limit: int = env("WORKER_EXECUTOR_QUEUE_LIMIT", p.integer(1, 100000),
        "requests that may wait in the executor's queue before further files are put off", default=100)
    service_host: str | None = env("PLATFORM_SERVICE_HOST", p.any_http_url,
        "platform-service, as http://host (executor `platform`)", default=None)
    service_port: int | None = env("PLATFORM_SERVICE_PORT", p.integer(1, 65535), "its port, unless the host has one",
        default=None)
    structure_image: str = env("STRUCTURE_TOOL_IMAGE_NAME", p.text,
        "image of the tools that the platform's executor serves (executor `platform`)",
        default="unstract/tool-structure")
    files_prefix: str | None = env("WORKFLOW_EXECUTION_DIR_PREFIX", p.text,
        "where the files of an execution are kept, below the bucket's name (executor `platform`)", default=None)
    files_store: StoreSettings | None = env("WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS", p.store,
        "the store of these files, as JSON (executor `platform`)", default=None, holds_secret=True)
    uploads_store: StoreSettings | None = env("API_FILE_STORAGE_CREDENTIALS", p.store,
        "the store of API uploads, as JSON (executor `platform`)", default=None, holds_secret=True)


@frozen
class ChordSettings:
    """Chord compatibility. `result_backend` is a Celery URL with credentials; there if enabled."""

    enabled: bool = False
    result_backend: Secret | None = None
    retry_interval: float = 1.0


@frozen
class WebhookSettings:
    """Delivery of webhooks. Only public addresses are called, and hosts and networks that are allowed by name.

    Attributes:
        allowed_ports: ports of public addresses; allowed hosts and networks are called on any port.
        ca_file: certificates that are trusted besides the well-known ones.
    """

    timeout_cap: float = env("WORKER_WEBHOOK_TIMEOUT_CAP", p.seconds(1, 120), "limit of the timeout in a message",
        default=30.0)
    deadline_seconds: float = env("WORKER_WEBHOOK_DEADLINE", p.seconds(1, 120), "limit of one delivery", default=10.0)
    body_limit: int = env("WORKER_WEBHOOK_BODY_LIMIT", p.integer(0, 2**20), "bytes of an answer that are read",
        default=16 * 1024)
    attempts: int = env("WORKER_WEBHOOK_ATTEMPTS", p.integer(1, 20), "limit of the attempts of a delivery", default=5)
    per_host: int = env("WORKER_WEBHOOK_PER_HOST", p.integer(1, 100), "deliveries at a time to one host, a process",
        default=4)
    allowed_ports: tuple[int, ...] = env("WEBHOOK_ALLOWED_PORTS", p.ports,
        "ports of public addresses that may be called", default=(80, 443, 8080, 8443))
    allowed_hosts: tuple[str, ...] = env("WEBHOOK_ALLOWED_HOSTS", p.hosts,
        "host names that may be called whatever their address and port", default=())
    allowed_networks: tuple[str, ...] = env("WEBHOOK_ALLOWED_NETWORKS", p.networks,
        "networks that may be called, internal ones included, on any port", default=())
    signing_secret: Secret | None = env("WEBHOOK_SIGNING_SECRET", p.signing_secret,
        "signs deliveries as Standard Webhooks does: `whsec_` and base64 of 24 to 64 bytes", default=None)
    ca_file: str | None = env("WEBHOOK_CA_FILE", p.text, "CA bundle that is trusted besides the well-known ones",
        default=None)


@frozen
class TrafficSettings:
    """The share of executions that this fleet takes while it runs beside today's workers.

    All executions of the listed organizations, and `percent` of the others. Other messages go to the queue that they
    came from with `forward_suffix` added to its name, which only today's workers consume.
    """

    organizations: tuple[str, ...] = env("WORKER_TRAFFIC_ORGANIZATIONS", p.names, "organizations that are taken whole",
        default=())
    percent: int = env("WORKER_TRAFFIC_PERCENT", p.integer(0, 100), "share of the other executions",
        default=Factory(lambda self: 0 if self.organizations else 100, takes_self=True),
        shown="100; 0 where organizations are listed")
    forward_suffix: str = env("WORKER_TRAFFIC_FORWARD_SUFFIX", p.queue_suffix,
        "suffix of the queues that the other messages are forwarded to, such as `_today`; required below 100 percent",
        default="")

    @property
    def whole(self) -> bool:
        """Whether everything belongs to this fleet."""
        return self.percent == 100

    def takes(self, organization_id: str, execution_id: str | None) -> bool:
        """Whether an execution belongs to this fleet; the same answer in every process.

        A schedule has no execution yet, so that only its organization decides; its execution is decided later by its
        own id.
        """
        if self.whole or organization_id in self.organizations:
            return True
        if execution_id is None:
            return False
        return int.from_bytes(sha256(execution_id.encode()).digest()[:4]) % 100 < self.percent


@frozen
class TracingSettings:
    """Where traces go: to nowhere unless an endpoint is set. `ratio` is the share of the executions that are traced."""

    endpoint: str | None = env("OTEL_EXPORTER_OTLP_ENDPOINT", p.any_http_url,
        "collector that traces are sent to over OTLP/HTTP, below `/v1/traces` (extra `otel`)", default=None)
    traces_endpoint: str | None = env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", p.any_http_url, "the same, as a whole URL",
        default=None)
    headers: Secret | None = env("OTEL_EXPORTER_OTLP_TRACES_HEADERS OTEL_EXPORTER_OTLP_HEADERS", p.secret,
        "headers for it, as `name=value,name=value`", default=None)
    ratio: float = env("OTEL_TRACES_SAMPLER_ARG", p.share, "share of the executions that are traced, 0 to 1",
        default=1.0)
    service_name: str | None = env("OTEL_SERVICE_NAME", p.text, "name of this worker in traces", default=None,
        shown="the distribution's")

    @property
    def url(self) -> str | None:
        """Where spans are posted: the endpoint for traces as it is, or the one for all signals with their path."""
        if self.traces_endpoint is not None or self.endpoint is None:
            return self.traces_endpoint
        return self.endpoint.rstrip("/") + "/v1/traces"
