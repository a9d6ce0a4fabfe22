"""What is scaled, by which rule, and where its numbers come from."""

from enum import StrEnum

from attrs import frozen

from unstract_worker_core.queues import ScalingRule, queues_of
from unstract_worker_core.statuses import WorkerType

__all__ = ["GRACE_BEYOND_DRAIN", "Source", "Target", "target_of"]

GRACE_BEYOND_DRAIN = 15
"""Seconds that a process may take beyond its drain: handing back, then leaving (see app.drain)."""


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
        secret: the Kubernetes Secret with what a scaler logs in with.
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
        """Messages in all its queues, in PromQL; several workers may tell of the same queue."""
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
