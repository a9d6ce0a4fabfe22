"""The sections of the settings: plain frozen values with their defaults. Times are seconds.

Which variable feeds which field is in the table of `variables`.
"""

from hashlib import sha256

from attrs import Factory, field, frozen

from unstract_worker_core.config.secret import Secret

__all__ = [
    "BackendSettings",
    "BrokerSettings",
    "ChordSettings",
    "CrashPoint",
    "FileSettings",
    "LedgerSettings",
    "LoggingSettings",
    "ProcessSettings",
    "RedisSettings",
    "TracingSettings",
    "TrafficSettings",
    "WebhookSettings",
]


@frozen
class BackendSettings:
    """The internal API. `timeout` bounds one attempt of a call, `total_timeout` the call with its retries."""

    base_url: str
    api_key: Secret
    timeout: float = 30.0
    total_timeout: float = field(default=Factory(lambda self: max(120.0, self.timeout), takes_self=True))
    retry_attempts: int = 3
    retry_backoff: float = 1.0
    file_execution_timeout: float = 3600.0
    max_body_bytes: int = 32 * 1024 * 1024
    breaker_threshold: int = 5
    breaker_recovery: float = 60.0
    ca_file: str | None = None
    health_prefix: str = "v1/health/"
    workflow_prefix: str = "v1/workflow-execution/"
    workflow_manager_prefix: str = "v1/workflow-manager/"
    tool_execution_prefix: str = "v1/tool-execution/"
    file_execution_prefix: str = "v1/file-execution/"
    file_history_prefix: str = "v1/file-history/"
    webhook_prefix: str = "v1/webhook/"
    deployments_prefix: str = "v1/api-deployments/"


@frozen
class BrokerSettings:
    """Where messages come from. `url` carries the credentials, percent-encoded; several joined by ``;``."""

    url: Secret
    ha_queues: bool = False
    heartbeat: int = 30
    sentinel_master: str = "mymaster"
    ca_file: str | None = None

    @property
    def scheme(self) -> str:
        """``redis``, ``rediss``, ``sentinel``, ``amqp`` or ``amqps``."""
        return self.url.reveal().partition("://")[0]

    @property
    def is_redis(self) -> bool:
        """Whether the broker is Redis, directly or behind Sentinel."""
        return self.scheme in ("redis", "rediss", "sentinel")


@frozen
class RedisSettings:
    """One Redis role. In Sentinel mode `host` is a comma list of sentinels, with or without ``:port``."""

    host: str = "localhost"
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: Secret | None = None
    ssl: bool = False
    ssl_cert_reqs: str = "required"
    ssl_ca_file: str | None = None
    sentinel: bool = False
    sentinel_master: str = "mymaster"
    sentinel_password: Secret | None = None

    @property
    def nodes(self) -> tuple[tuple[str, int], ...]:
        """The (host, port) pairs to connect to: one server, or the sentinels."""
        if not self.sentinel:
            return ((self.host, self.port),)
        pairs = (item.strip().partition(":") for item in self.host.split(","))
        return tuple((host, int(port) if port else self.port) for host, _, port in pairs)

    @property
    def location(self) -> str:
        """Where it is, for a log line: no credentials."""
        where = ",".join(f"{host}:{port}" for host, port in self.nodes)
        return f"{where}/{self.db}" + (f" (sentinel, {self.sentinel_master})" if self.sentinel else "")


@frozen
class LedgerSettings:
    """The run ledger."""

    lease_seconds: float = 60.0
    sweep_seconds: float = 5.0
    first_ring_wait: float = 30.0
    max_ring_wait: float = 600.0
    tombstone_seconds: float = 172800.0
    recheck_seconds: float = 180.0
    max_file_result_bytes: int = 5 * 1024 * 1024
    orchestrate_attempts: int = 5
    dead_letter_limit: int = 1000


@frozen
class ProcessSettings:
    """The process: pool, slots, queues, health endpoint, limits. No `queues`: the worker type's own."""

    pool: str = "threads"
    concurrency: int = field(default=Factory(lambda self: 16 if self.pool == "threads" else 4, takes_self=True))
    queues: tuple[str, ...] = ()
    hostname: str | None = None
    health_enabled: bool = True
    health_host: str = "0.0.0.0"  # noqa: S104 - probes come from outside the container
    health_port: int = 8080
    liveness_seconds: float = 300.0
    stuck_slot_seconds: float = 3780.0
    drain_seconds: float = 45.0
    soft_time_limit: int = 3300
    time_limit: int = 3600
    max_tasks_per_child: int = 500
    max_memory_mb: int = 512
    metrics_dir: str | None = None


@frozen
class LoggingSettings:
    """What is logged and how: `format` is ``json`` or ``console``; `file` receives the log as well."""

    level: str = "INFO"
    format: str = "json"
    file: str | None = None


@frozen
class FileSettings:
    """How the files of an execution are treated."""

    max_parallel_batches: int = 1
    result_ttl_seconds: int = 86400
    active_file_ttl_seconds: int = 300
    logs_ttl_seconds: int = 3600
    executor: str = "backend"
    status_seconds: float = 1.0
    api_dir_prefix: str | None = None


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

    timeout_cap: float = 30.0
    deadline_seconds: float = 10.0
    body_limit: int = 16 * 1024
    attempts: int = 5
    per_host: int = 4
    allowed_ports: tuple[int, ...] = (80, 443, 8080, 8443)
    allowed_hosts: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    signing_secret: Secret | None = None
    ca_file: str | None = None


@frozen
class CrashPoint:
    """Where a test has a worker kill itself: when `name` is reached the `nth` time; `group`: all its processes."""

    name: str
    nth: int = 1
    group: bool = False


@frozen
class TrafficSettings:
    """The share of executions that this fleet takes while it runs beside today's workers.

    Organizations listed are taken whole; of the others, `percent` of the executions. The rest goes to the queue that
    a message came from with `forward_suffix` at its name's end, which only today's workers consume.
    """

    organizations: tuple[str, ...] = ()
    percent: int = field(default=Factory(lambda self: 0 if self.organizations else 100, takes_self=True))
    forward_suffix: str = ""

    @property
    def whole(self) -> bool:
        """Whether everything belongs to this fleet."""
        return self.percent == 100

    def takes(self, organization_id: str, execution_id: str | None) -> bool:
        """Whether an execution belongs to this fleet; the same answer in every process.

        Without an execution, which a schedule does not have yet, only the organization decides: the execution that
        comes of it is decided about by its own id.
        """
        if self.whole or organization_id in self.organizations:
            return True
        if execution_id is None:
            return False
        return int.from_bytes(sha256(execution_id.encode()).digest()[:4]) % 100 < self.percent


@frozen
class TracingSettings:
    """Where traces go: to nowhere unless an endpoint is set. `ratio` is the share of the executions that are traced."""

    endpoint: str | None = None
    traces_endpoint: str | None = None
    headers: Secret | None = None
    ratio: float = 1.0
    service_name: str | None = None

    @property
    def url(self) -> str | None:
        """Where spans are posted: the endpoint for traces as it is, or the one for all signals with their path."""
        if self.traces_endpoint is not None or self.endpoint is None:
            return self.traces_endpoint
        return self.endpoint.rstrip("/") + "/v1/traces"
