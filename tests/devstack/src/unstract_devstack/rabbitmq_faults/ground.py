"""A fleet whose workers reach a private RabbitMQ through a relay; the platform reaches it directly and confirmed."""

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from attrs import frozen

from unstract_devstack.backend_process import running_backend
from unstract_devstack.faults.arena import KINDS, SETTINGS, Arena
from unstract_devstack.faults.history import History
from unstract_devstack.faults.relay import Relay, running_relay
from unstract_devstack.faults.tap import MessageTap
from unstract_devstack.fleet import running_fleet
from unstract_devstack.rabbitmq_server import RabbitHandle, running_rabbitmq
from unstract_devstack.redis_server import running_redis
from unstract_devstack.sink import running_sink
from unstract_devstack.stack import worker_environment

_BACKEND = ("--mode", "keyed", "--file-delay", "0.02-0.2", "--club-seconds", "0.5", "--confirm-publish")


class Queues(StrEnum):
    """Which kind of queue everything is declared as."""

    CLASSIC = "classic"
    QUORUM = "quorum"


@frozen
class Ground:
    """What is attacked: the arena's fleet and history, the broker, and the way to it."""

    arena: Arena
    rabbit: RabbitHandle
    relay: Relay


@contextlib.contextmanager
def open_ground(directory: Path, queues: Queues) -> Iterator[Ground]:
    """A running fleet, until the block is left. Its backend applies a key once, so that a double is a fault."""
    quorum = queues is Queues.QUORUM
    with contextlib.ExitStack() as parts:
        rabbit = parts.enter_context(running_rabbitmq(directory / "rabbitmq"))
        relay = parts.enter_context(running_relay("broker", rabbit.port))
        redis = parts.enter_context(running_redis(directory / "redis"))
        sink = parts.enter_context(running_sink())
        options = (*_BACKEND, "--quorum-queues") if quorum else _BACKEND
        backend = parts.enter_context(
            running_backend(directory / "backend", broker_url=rabbit.url, redis_url=redis.url, options=options)
        )
        relayed = rabbit.url.replace(str(rabbit.port), str(relay.port))
        environment = SETTINGS | worker_environment(
            backend_url=backend.internal_url, api_key=backend.api_key, redis_url=redis.url, broker_url=relayed
        )
        # Beats find a connection that is silent; the shorter, the sooner.
        environment |= {"CELERY_BROKER_HEARTBEAT": "4", "RABBITMQ_HA_ENABLED": str(quorum).lower()}
        fleet = parts.enter_context(running_fleet(environment, directory / "logs", kinds=KINDS))
        history = History(backend.dev)
        arena = Arena(
            directory=directory, keyed=True, redis=redis, backend=backend, sink=sink, environment=environment,
            fleet=fleet, tap=MessageTap(redis), history=history,
        )  # fmt: skip
        yield Ground(arena, rabbit, relay)
