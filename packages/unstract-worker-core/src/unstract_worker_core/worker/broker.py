"""How to connect to the broker: options by transport, one place for the app, the doorbells and the log events."""

import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from queue import Empty, Full, LifoQueue
from typing import Any
from urllib.parse import urlsplit

from amqp.exceptions import AccessRefused, NotAllowed, PreconditionFailed
from amqp.transport import SSLTransport, TCPTransport, to_host_port
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import ChannelError, KombuError
from kombu.messaging import Producer
from kombu.transport import pyamqp
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    ClusterDownError,
    ResponseError,
)
from redis.retry import Retry

from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.errors import Fault
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import EXECUTOR_ANSWERS_QUEUE
from unstract_worker_core.redis import CONNECT_SECONDS, NO_CLUSTER, is_denied

# Where kombu puts what no queue takes (Redis only).
UNROUTED_QUEUE = "uw_unrouted"
_NO_PAUSE = {"interval_start": 0, "interval_step": 0, "interval_max": 0}
_HERE = "unstract_worker_core.worker"
_IDLE_CONNECTIONS = 8
# What Redis answers, in its own words, and will again.
_LASTING = {
    "DB index is out of range": "there is no database of this number",
    "unknown command": "this Redis lacks a command; 6.2 is the oldest that can be used",
}

log = get_logger(__name__)


def transport_options(broker: BrokerSettings) -> dict[str, Any]:
    """Options of the transport; those of Redis on Redis only."""
    if not broker.is_redis:
        # Bounded: while a worker declares its queues it reads nothing else, heartbeats included.
        return {"confirm_publish": True, "read_timeout": 10, "write_timeout": 10}
    options: dict[str, Any] = {
        # Not the platform's own keys: we must not give back what its workers hold, and ours is renewed while it is
        # held.
        "unacked_key": "uw_unacked",
        "unacked_index_key": "uw_unacked_index",
        "unacked_mutex_key": "uw_unacked_mutex",
        "visibility_timeout": 60,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "deadletter_queue": UNROUTED_QUEUE,
        # Each queue's peek has a connection of its own.
        "max_connections": 100,
    }
    if broker.scheme == "sentinel":
        secret = broker.sentinel_password.reveal() if broker.sentinel_password else None
        sentinel_options = {
            "username": broker.sentinel_username,
            "password": secret,
            "socket_timeout": 5,
            "socket_connect_timeout": CONNECT_SECONDS,
        }
        options |= {"master_name": broker.sentinel_master, "sentinel_kwargs": sentinel_options}
    return options


def transport_class(broker: BrokerSettings) -> str:
    """The transport: kombu's, so extended that Redis loses no message and a silent broker does not block it."""
    if not broker.is_redis:
        return f"{_HERE}.broker:BoundedTransport"
    return f"{_HERE}.broker_redis:{'PeekSentinelTransport' if broker.scheme == 'sentinel' else 'PeekTransport'}"


def tls_options(broker: BrokerSettings) -> dict[str, Any] | None:
    """What a TLS broker must show; None without TLS. A certificate that does not verify is refused."""
    checked: dict[str, Any]
    if broker.scheme == "rediss":
        checked = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
        files = {"ssl_ca_certs": broker.ca_file, "ssl_certfile": broker.cert_file, "ssl_keyfile": broker.key_file}
    elif broker.scheme == "amqps":
        # `BoundedTransport` puts in the name of each of several; kombu makes 127.0.0.1 of localhost: this is its name.
        hosts = {urlsplit(url).hostname for url in broker.url.reveal().split(";")}
        several = "127.0.0.1" if "127.0.0.1" in hosts else "localhost"
        name = hosts.pop() if len(hosts) == 1 else several
        checked = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": name}
        files = {"ca_certs": broker.ca_file, "certfile": broker.cert_file, "keyfile": broker.key_file}
    else:
        return None
    return checked | {option: file for option, file in files.items() if file}


def declared_queue(name: str, broker: BrokerSettings) -> Queue:
    """A queue as Celery itself would declare it, so that both sides agree; a quorum queue where RabbitMQ is HA.

    The queue of executors' answers is classic everywhere.
    """
    quorum = broker.ha_queues and not broker.is_redis and name != EXECUTOR_ANSWERS_QUEUE
    arguments = {"x-queue-type": "quorum"} if quorum else None
    return Queue(name, Exchange(name, type="direct"), routing_key=name, queue_arguments=arguments)


def permanent_refusal(error: BaseException) -> Fault | None:
    """What an operator must change before the broker accepts this worker; None for an error that may pass."""
    cause = error.__cause__ or error
    if isinstance(cause, PreconditionFailed) and "inequivalent arg" in str(cause):
        return Fault("RABBITMQ_HA_ENABLED", f"a queue has other arguments; configure it as the platform does: {cause}")
    if isinstance(cause, NotAllowed) and "limit" not in str(cause):  # one of connections passes
        return Fault("CELERY_BROKER_BASE_URL", f"there is no such vhost, or the user may not use it: {cause}")
    if isinstance(cause, AskError | ClusterCrossSlotError | ClusterDownError):
        return Fault("CELERY_BROKER_BASE_URL", NO_CLUSTER)
    lasting = next((problem for words, problem in _LASTING.items() if words in str(cause)), None)
    if isinstance(cause, ResponseError) and lasting is not None:
        return Fault("CELERY_BROKER_BASE_URL", f"{lasting}: {cause}")
    if isinstance(cause, AccessRefused | AuthenticationError | AuthorizationError) or is_denied(cause):
        variables = "CELERY_BROKER_BASE_URL, CELERY_BROKER_USER, CELERY_BROKER_PASS"
        return Fault(variables, f"the broker refuses the user, the password or what the user may do: {cause}")
    return None


class BrokerConnection(Connection):
    """kombu's connection, with one producer and what publishers ask of it.

    Attributes:
        declared: names of queues that were declared on it.
        returned: set by a publisher, when RabbitMQ sent its last message back.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self.declared: set[str] = set()
        self.returned = False

    @cached_property
    def producer(self) -> Producer:
        """A producer that declares nothing; made on first use, which connects."""
        producer: Producer = self.Producer(auto_declare=False)
        return producer

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What it raises while the broker is away, or refuses something."""
        return (KombuError, OSError, *self.connection_errors, *self.channel_errors)

    def depth(self, queue: str) -> int | None:
        """How many messages wait in a queue; None: RabbitMQ has no such queue (on Redis it is an empty one)."""
        is_redis = self.transport.driver_type == "redis"
        try:
            if is_redis:
                return int(self.default_channel.queue_declare(queue, passive=True).message_count)
            with self.channel() as channel:  # its own: RabbitMQ closes the channel of a queue that is not there
                return int(channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:
            return 0 if is_redis else None

    def reach(self, *, retries: int) -> None:
        """Connect now, or after so many retries without a pause. Raises one of `errors`."""
        self.ensure_connection(max_retries=retries, **_NO_PAUSE)

    def is_open(self) -> bool:
        """Whether it was not closed while it was idle. RabbitMQ's word is read only here, redis-py looks by itself."""
        if self.transport.driver_type == "redis":
            return True
        try:
            while True:
                self.drain_events(timeout=0)
        except TimeoutError:
            return True
        except self.errors:
            return False

    def quit(self) -> None:
        """Close it, however broken it is."""
        try:
            self.release()
        except Exception:  # boundary: a connection that broke may fail to close in any way its driver knows
            log.debug("connection did not close", exc_info=True)

    def switch(self, conn_str: str) -> None:
        """Switch to another of several brokers, with our transport: kombu would choose its own by the URL's scheme."""
        transport = self.transport_cls
        super().switch(conn_str)  # type: ignore[no-untyped-call]
        self.transport_cls = transport


class IdleConnections:
    """Connections that no thread uses now, the last used first; at most eight are kept."""

    def __init__(self) -> None:
        self._idle: LifoQueue[BrokerConnection] = LifoQueue(_IDLE_CONNECTIONS)

    def take(self) -> BrokerConnection | None:
        """One of them that is open, for the caller alone; None: there is none."""
        with suppress(Empty):
            while not (connection := self._idle.get_nowait()).is_open():
                connection.quit()
            return connection
        return None

    @contextmanager
    def lend(self, connection: BrokerConnection) -> Iterator[None]:
        """Keep a connection after the block; close it where the block raised, or enough are kept."""
        try:
            yield
        except BaseException:
            connection.quit()
            raise
        try:
            self._idle.put_nowait(connection)
        except Full:
            connection.quit()

    def close(self) -> None:
        """Close them."""
        while (connection := self.take()) is not None:
            connection.quit()


def publish_task(
    producer: Producer, queue: str, task: str, task_id: str, body: Sequence[Any], *, expires: str | None = None,
    **options: Any,
) -> None:  # fmt: skip
    """Publish a task message of Celery's protocol 2 straight to a queue.

    Args:
        body: arguments, keyword arguments and the embedded part (``{}``: none).
        expires: ISO 8601; it is not run after that.
        options: further ones of kombu's `publish`.
    """
    headers = {
        "lang": "py", "task": task, "id": task_id, "root_id": task_id, "parent_id": None, "group": None,
        "retries": 0, "timelimit": [None, None], "eta": None, "expires": expires, "ignore_result": True,
        "argsrepr": "()", "kwargsrepr": "{}", "origin": "unstract-worker",
    }  # fmt: skip
    producer.publish(
        json.dumps(body), exchange="", routing_key=queue, headers=headers, correlation_id=task_id,
        content_type="application/json", content_encoding="utf-8", **options,
    )  # fmt: skip


class BrokerAMQP(AMQP):  # type: ignore[misc]
    """What Celery makes its connections with."""

    Connection = BrokerConnection


def publishing_connection(broker: BrokerSettings, *, confirmed: bool = False, seconds: float = 10) -> BrokerConnection:
    """A connection for publishing and queries: brief timeouts, one retry, no heartbeat; connects on first use.

    Args:
        confirmed: on RabbitMQ each publish waits for the broker's word. Not for doorbells, which would cost a round
            trip each: a lost one is rung again by the ledger.
        seconds: how long an answer is awaited; connecting takes five at most.
    """
    servers = len(broker.url.reveal().split(";"))
    bounds: dict[str, Any] = {"socket_timeout": seconds}
    if broker.scheme == "sentinel":
        # redis-py repeats each query by itself, which would take a minute for a silent sentinel.
        sentinel_options = {"retry": Retry(NoBackoff(), 0), "socket_timeout": min(5, seconds / servers)}
        bounds |= {"sentinel_kwargs": transport_options(broker)["sentinel_kwargs"] | sentinel_options}
    if not broker.is_redis:
        bounds = {"confirm_publish": confirmed, "read_timeout": seconds, "write_timeout": seconds}
    retries = {"max_retries": max(1, servers - 1)}  # each of several brokers gets its turn
    options = transport_options(broker) | _NO_PAUSE | retries | bounds
    return BrokerConnection(
        broker.url.reveal(),
        transport=transport_class(broker),
        transport_options=options,
        connect_timeout=5,
        heartbeat=0,
        ssl=tls_options(broker) or False,
    )


class _Plain(TCPTransport):  # type: ignore[misc]
    def _read(self, n: int, *_: object) -> Any:
        return super()._read(n, initial=True)


class _Tls(SSLTransport):  # type: ignore[misc]
    def _read(self, n: int, *_: object) -> Any:
        return super()._read(n, initial=True)


class _Connection(pyamqp.Connection):
    def Transport(self, host: str, connect_timeout: float, *others: Any, **options: Any) -> Any:  # noqa: N802
        ssl, read_timeout, write_timeout = others
        if ssl and (name := to_host_port(host)[0]) != "127.0.0.1":  # where it is, `tls_options` knows the name
            ssl = {**ssl, "server_hostname": name}
        options |= {"read_timeout": read_timeout, "write_timeout": write_timeout}
        return (_Tls if ssl else _Plain)(host, connect_timeout, ssl=ssl, **options)


class BoundedTransport(pyamqp.Transport):
    """amqp or amqps, where a broker that falls silent within a frame does not hold its reader for good.

    Defect of py-amqp 5.4 that this closes: where nothing is to be read, it says so at a frame's beginning only. Within
    one it asks again, at once and for ever: no heartbeat is missed, no bound of time holds, and the worker stays on
    that connection. Here it says so at any byte; what has arrived is kept, and the frame is read on when more comes.

    Defect of kombu 5.7: of several brokers, each certificate is checked against the name of the first, since
    `server_hostname` is kept from one connection to the next. Here the name is that of the broker connected to.

    To see it: let a relay pass on half a frame and then nothing (`test_brokers_silence`, `test_core_app_broker_amqp`).
    Unnecessary once py-amqp's `read_frame` raises its timeout within a frame too, and kombu sets the name each time.
    """

    Connection = _Connection
