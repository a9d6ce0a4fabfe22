"""Which fleet a platform message belongs to while a share of the traffic stays with today's workers, and the way there.

The decision is pure: the same message gives the same answer in every process. A message of the other fleet is forwarded
unchanged to another queue of the same broker. Unlike a doorbell it carries truth: the publish is confirmed, and an
unroutable one is noticed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from amqp.exceptions import MessageNacked
from attrs import frozen

from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.errors import LedgerError, MessageError
from unstract_worker_core.identifiers import execution_id, organization_id
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import TASK_PREFIX
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.worker.broker import BrokerConnection, declared_queue, publishing_connection

# What of AMQP's properties a sender decides. Expiry is a header of Celery's.
_PROPERTIES = ("correlation_id", "reply_to", "priority", "delivery_mode", "message_id", "timestamp", "type", "app_id")
# RabbitMQ's own notes about this delivery.
_BROKERS_OWN = frozenset({"x-delivery-count"})
_STARTS = frozenset({"async_execute_bin", "async_execute_bin_api", "async_execute_bin_general"})
_SCHEDULES = frozenset({"scheduler.tasks.execute_pipeline_task", "execute_pipeline_task_v2"})
_BATCHES = frozenset({"process_file_batch", TASK_PREFIX + "process_file_batch"})
_CALLBACKS = frozenset({"process_batch_callback", TASK_PREFIX + "process_batch_callback", "process_batch_callback_api"})
_PAUSE_SECONDS = 1.0
log = get_logger(__name__)


class NotForwarded(Exception):
    """The broker did not confirm the message, but may have it; named after the driver's error."""


class Forwarding:
    """One connection, for one thread at a time; made when it is first needed, and again after an error."""

    def __init__(self, broker: BrokerSettings) -> None:
        self._broker = broker
        self._connection: BrokerConnection | None = None

    def forward(self, message: Any, queue: str) -> None:
        """Publish a kombu message unchanged to `queue`; a second time on a new connection if that fails.

        Raises:
            NotForwarded: it must stay where it is.
        """
        for last in (False, True):
            connection = self._connection = self._connection or publishing_connection(self._broker, confirmed=True)
            try:
                self._publish(connection, message, queue)
            except (MessageNacked, *connection.errors) as e:
                self.close()
                # Refused by the broker itself: asking again at once changes nothing.
                if last or isinstance(e, MessageNacked):
                    raise NotForwarded(type(e).__name__) from None
            else:
                return

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.collect()  # without a word to a broker that may not answer
        except Exception:  # boundary: a connection that broke may fail to close in any way its driver knows
            log.debug("connection did not close", exc_info=True)

    def _publish(self, connection: BrokerConnection, message: Any, queue: str) -> None:
        producer = connection.producer
        self._declare_once(connection, queue)
        body = message.body
        producer.publish(
            bytes(body) if isinstance(body, memoryview) else body,
            exchange="",
            routing_key=queue,
            mandatory=True,
            headers={name: value for name, value in message.headers.items() if name not in _BROKERS_OWN},
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            **{name: message.properties[name] for name in _PROPERTIES if message.properties.get(name) is not None},
        )

    def _declare_once(self, connection: BrokerConnection, queue: str) -> None:
        """Declare the queue as its consumers do, unless it exists."""
        if self._broker.is_redis or queue in connection.declared:
            return
        entity = declared_queue(queue, self._broker)
        try:
            with connection.channel() as channel:
                entity(channel).queue_declare(passive=True)
        except connection.channel_errors:
            with connection.channel() as channel:
                entity(channel).declare()
        connection.declared.add(queue)


@frozen
class Subject:
    """What a message is about.

    Attributes:
        organization_id: empty where the message does not say.
        execution_id: None for a schedule, which has no execution yet.
        run_id: under what our ledger would keep the message; empty for one that it does not keep.
    """

    organization_id: str
    execution_id: str | None
    run_id: str = ""


def subject_of(task: str, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Subject | None:
    """What a share decides about; None for every other task, and where the ids cannot be read."""
    try:
        return _subject(task, task_id, args, kwargs)
    except (MessageError, AttributeError):  # malformed: our own steps dead-letter it with the reason
        return None


def _subject(task: str, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Subject | None:
    if task in _STARTS:
        execution = execution_id(_given(args, 2, kwargs, "execution_id"))
        return Subject(organization_id(_given(args, 0, kwargs, "schema_name")), execution, execution)
    if task in _SCHEDULES:
        # The v2 form begins with the organization.
        place = 0 if task.endswith("_v2") else 1
        organization = _given(args, place, kwargs, "org_schema") or kwargs.get("organization_id")
        return Subject(organization_id(organization), None, task_id)
    if task in _BATCHES:
        data = _given(args, 0, kwargs, "file_batch_data").get("file_data")
        execution = execution_id(data.get("execution_id"))
        return Subject(_organization(data), execution, f"{execution}.{task_id}")
    if task in _CALLBACKS:
        execution = execution_id(kwargs.get("execution_id"))
        return Subject(_organization(kwargs), execution, f"{execution}.callback")
    if task == "celery.chord_unlock":
        body = _given(args, 1, kwargs, "callback").get("kwargs")
        return Subject(_organization(body), execution_id(body.get("execution_id")))
    return None


def _given(args: Sequence[Any], place: int, kwargs: Mapping[str, Any], name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _organization(values: Mapping[str, Any]) -> str:
    given = values.get("organization_id")
    return organization_id(given) if given else ""


class TrafficSplit:
    """The share of one consumer. Used by its thread alone."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._traffic = runtime.settings.traffic
        self._forwarding = Forwarding(runtime.settings.broker)

    def forward_if_foreign(self, message: Any, connection_errors: tuple[type[Exception], ...]) -> bool:
        """Whether an admitted message belongs to the other fleet; then it was forwarded, or is back in its queue."""
        task, task_id, args, kwargs = _call(message)
        subject = subject_of(task, task_id, args, kwargs)
        if subject is None:
            return False
        queue = str((message.delivery_info or {}).get("routing_key") or "")
        count = self._runtime.metrics.traffic
        try:
            ours = self._is_ours(subject, queue, message)
            if not ours:
                self._forwarding.forward(message, queue + self._traffic.forward_suffix)
        except (NotForwarded, LedgerError) as error:
            count.labels(task, "failed").inc()
            log.warning(
                "message not forwarded; it goes back to its queue", task=task, task_id=task_id, error=str(error)
            )
            self._runtime.draining.wait(_PAUSE_SECONDS)
            message.requeue()
            return True
        count.labels(task, "ours" if ours else "forwarded").inc()
        if not ours:
            log.info("message forwarded", task=task, task_id=task_id, execution_id=subject.execution_id, queue=queue)
            message.ack_log_error(log, connection_errors)
        return not ours

    def _is_ours(self, subject: Subject, queue: str, message: Any) -> bool:
        # A forwarded message is never forwarded again.
        if not queue or queue.endswith(self._traffic.forward_suffix):
            return True
        if self._traffic.takes(subject.organization_id, subject.execution_id):
            return True
        # Accepted here before the share changed, and delivered again: the ledger has it already.
        return bool(subject.run_id and _again(message)) and self._runtime.ledger.runs.state(subject.run_id) is not None


def _again(message: Any) -> bool:
    return bool((message.delivery_info or {}).get("redelivered") or message.headers.get("redelivered"))


def _call(message: Any) -> tuple[str, str, Sequence[Any], Mapping[str, Any]]:
    payload, headers = message.payload, message.headers
    if "task" in headers:
        return headers["task"], headers["id"], payload[0], payload[1]
    return payload["task"], payload["id"], payload.get("args", ()), payload.get("kwargs", {})
