"""The broker that a scaler looks at: the configured one, or a refusal that says why it cannot be."""

from urllib.parse import SplitResult, urlsplit

from attrs import evolve

from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.config.parsers import join_host_port, split_host_port
from unstract_worker_core.operator.scaling.target import Source, Target

__all__ = ["at_broker"]

_REDIS_PORT, _SENTINEL_PORT = 6379, 26379


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
        raise ValueError(f"the configured broker is {broker.scheme}: leave --broker out, or say --broker {fitting}")
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
