"""What is scaled, by which rule, and where its numbers come from."""

from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from attrs import evolve, frozen

from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.config.parsers import join_host_port, split_host_port
from unstract_worker_core.queues import ScalingRule, queues_of
from unstract_worker_core.statuses import WorkerType

GRACE_BEYOND_DRAIN = 15
"""Seconds that a process may take beyond its drain: handing back, then leaving (see worker.drain)."""
_REDIS_PORT, _SENTINEL_PORT = 6379, 26379


class Source(StrEnum):
    """Where the number of waiting messages is read."""

    REDIS = "redis"
    RABBITMQ = "rabbitmq"
    PROMETHEUS = "prometheus"


@frozen
class Target:
    """One worker's Deployment and its rule.

    Attributes:
        worker: the worker's name, also the value of the label `worker` in Prometheus.
        queues: what it consumes.
        grace_seconds: the least terminationGracePeriodSeconds that kills no running work.
        redis: ``host:port`` of a broker on Redis, or of its sentinels in a comma list; no credentials.
        sentinel_master: the name of the master; None: no sentinels.
        tls: whether the broker is spoken to over TLS.
        own_authority: its certificate is signed by an authority of the operator's.
        client_certificate: it wants one.
        secret: the Kubernetes Secret with the credentials of the scalers.
        prometheus: root URL of Prometheus; None: running work is not looked at.
    """

    worker: str
    deployment: str
    namespace: str
    queues: tuple[str, ...]
    rule: ScalingRule
    grace_seconds: int
    source: Source = Source.REDIS
    redis: str = "unstract-redis:6379"
    redis_database: int = 0
    sentinel_master: str | None = None
    tls: bool = False
    own_authority: bool = False
    client_certificate: bool = False
    secret: str = "unstract-workers-scaling"  # noqa: S105 - a name
    prometheus: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Labels of what is made for it."""
        return {"app.kubernetes.io/name": self.deployment, "app.kubernetes.io/part-of": "unstract-workers"}

    @property
    def waiting_query(self) -> str:
        """Messages in all its queues, in PromQL; several workers may report the same queue."""
        names = "|".join(self.queues)
        return f'sum(max by (queue_name) (celery_queue_length{{queue_name=~"{names}"}}))'

    @property
    def running_query(self) -> str:
        """Slots in use in all its replicas, in PromQL."""
        return f'sum(unstract_worker_slots_in_use{{worker="{self.worker}"}})'


def target_of(worker: WorkerType, *, queues: tuple[str, ...], drain_seconds: float) -> Target:
    """A worker's target under the names of docker/kubernetes."""
    name = worker.value.replace("_", "-")
    grace = int(drain_seconds) + GRACE_BEYOND_DRAIN
    return Target(name, name, "unstract-workers", queues, queues_of(worker).scaling, grace)


def at_broker(
    target: Target, broker: BrokerSettings | None, source: Source | None, redis: str | None, database: int | None
) -> Target:
    """The target with its source, and with address and TLS of the broker.

    Args:
        broker: the configured one.
        source: what the operator asks for; None: what fits the broker.
        redis: ``host:port`` that replaces the configured address.
        database: replaces the configured one.

    Raises:
        ValueError: a scaler cannot watch this broker, or would watch another one.
    """
    fitting = Source.REDIS if broker is None or broker.is_redis else Source.RABBITMQ
    source = source or fitting
    if broker is not None and source not in (fitting, Source.PROMETHEUS):
        raise ValueError(f"the configured broker is {broker.scheme}: omit --broker, or use --broker {fitting}")
    if redis is not None and source is not Source.REDIS:
        raise ValueError(f"--redis does not go with a broker of {source}")
    target = evolve(target, source=source)
    if broker is not None:
        target = evolve(
            target,
            tls=broker.scheme in ("rediss", "amqps"),
            own_authority=broker.ca_file is not None,
            client_certificate=broker.cert_file is not None,
        )
        if source is Source.REDIS:
            target = _on_redis(target, broker, redis)
    if redis is not None:
        host, port = split_host_port(redis, _REDIS_PORT)
        target = evolve(target, redis=join_host_port(host, port))
    return target if database is None else evolve(target, redis_database=database)


def _on_redis(target: Target, broker: BrokerSettings, redis: str | None) -> Target:
    urls = [urlsplit(url) for url in broker.url.reveal().split(";")]
    databases = {_database(url) for url in urls}
    if len(databases) > 1:
        raise ValueError("CELERY_BROKER_BASE_URL names several databases; a scaler watches one")
    target = evolve(target, redis_database=databases.pop())
    if broker.scheme == "sentinel":
        if redis is not None:
            raise ValueError("--redis does not go with a sentinel:// broker")
        nodes = ",".join(join_host_port(url.hostname or "", url.port or _SENTINEL_PORT) for url in urls)
        return evolve(target, redis=nodes, sentinel_master=broker.sentinel_master)
    if len(urls) > 1 and redis is None:
        raise ValueError("CELERY_BROKER_BASE_URL names several servers; a scaler watches one: choose it with --redis")
    return evolve(target, redis=join_host_port(urls[0].hostname or "", urls[0].port or _REDIS_PORT))


def _database(url: SplitResult) -> int:
    text = url.path.strip("/") or "0"
    if not text.isdigit():
        raise ValueError("CELERY_BROKER_BASE_URL must end in a database number")
    return int(text)
