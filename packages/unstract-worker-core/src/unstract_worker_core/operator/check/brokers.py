"""The broker, and the queues in it that this worker consumes."""

import re
from collections.abc import Iterator
from typing import Any

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed, ResourceLocked
from attrs import evolve
from kombu.connection import Connection
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from unstract_worker_core.config import BrokerSettings, Secret, Settings
from unstract_worker_core.operator.check import CERTIFICATE, REFUSED, SECONDS, Line, cause_of
from unstract_worker_core.operator.check.redis_roles import broker_redis
from unstract_worker_core.queues import EXECUTOR_ANSWERS_QUEUE, consumed_queues
from unstract_worker_core.worker.broker import declared_queue, permanent_refusal, publishing_connection

_LOOK = "look at CELERY_BROKER_BASE_URL"
_LOOK_ACCESS = "look at CELERY_BROKER_BASE_URL, _USER and _PASS"
_LOOK_TLS = "its CA goes to CELERY_BROKER_SSL_CA_CERTS, and it must name the host of CELERY_BROKER_BASE_URL"
_LEAST = "grant what core's README lists as least access"
_NO_RIGHTS = "grant the broker's user configure, write and read on it"


def broker_lines(settings: Settings) -> Iterator[Line]:
    """Connect to the first broker that answers, and look at the server and at each queue."""
    brokers, queues = _members(settings.broker), list(consumed_queues(settings))
    for number, broker in enumerate(brokers, start=1):
        connection = publishing_connection(broker, seconds=SECONDS)
        try:
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            yield from _server(broker, connection)
            while queues:
                queue = queues[0]
                yield _on_redis(connection, queue) if broker.is_redis else _on_rabbitmq(broker, connection, queue)
                queues.pop(0)
        except Exception as error:  # noqa: BLE001 - boundary: each driver has errors of its own, and all mean the same here
            # As in `run`: a permanent refusal ends the check, an unreachable broker leads to the next one.
            passed_on = number < len(brokers) and permanent_refusal(error) is None
            yield _failed(broker, error, passed_on=passed_on)
            if not passed_on:
                break
        else:
            return
        finally:
            connection.quit()
    yield from (Line(f"queue {queue}", "skip", "the broker does not answer") for queue in queues)


def _members(broker: BrokerSettings) -> list[BrokerSettings]:
    """Each broker of a list. Sentinels are one: together they name its master."""
    if broker.scheme == "sentinel":
        return [broker]
    return [evolve(broker, url=Secret(url)) for url in broker.url.reveal().split(";")]


def _failed(broker: BrokerSettings, error: Exception, *, passed_on: bool) -> Line:
    cause = cause_of(error, broker.location)
    look = {CERTIFICATE: _LOOK_TLS, REFUSED: _LOOK_ACCESS}.get(cause.partition(":")[0], _LOOK)
    if passed_on:
        return Line("broker", "warn", f"{broker.location}: {cause}; {look}; the next one of the list is tried")
    return Line("broker", "fail", f"{broker.location}: {cause}; {look}")


def foreign_queue_line(broker: BrokerSettings, queue: str, *, consumer: str, limit: int) -> Line:
    """A queue that this worker sends to. It is read, not declared.

    Args:
        consumer: who consumes it, for people.
        limit: so many messages may wait before no more are sent.
    """
    subject, connection = f"queue {queue}", publishing_connection(broker, seconds=SECONDS)
    others = len(_members(broker)) - 1
    try:
        connection.reach(retries=others)
        if broker.is_redis:
            waiting, seen = int(_redis_of(connection).llen(queue)), "Redis does not say whether anybody consumes it"
        else:
            with connection.channel() as channel:
                found = channel.queue_declare(queue, passive=True)
            waiting, seen = int(found.message_count), f"{found.consumer_count} consumers"
            if not found.consumer_count:
                return Line(subject, "warn", f"{waiting} waiting, no consumer at present: is {consumer} running?")
    except NotFound:
        return Line(subject, "fail", f"is not on this broker: is {consumer} running, and on this broker and vhost?")
    except ResponseError as error:
        return Line(subject, "fail", _unreadable(error))
    except Exception as error:  # noqa: BLE001 - boundary: each driver has errors of its own; the broker's line names it
        return Line(subject, "skip", f"the broker does not answer ({cause_of(error, broker.location)})")
    finally:
        connection.quit()
    if waiting >= limit:
        return Line(subject, "warn", f"{waiting} waiting, {seen}: no more are sent until fewer than {limit} wait")
    return Line(subject, "ok", f"{waiting} waiting, {seen}")


def _server(broker: BrokerSettings, connection: Connection) -> Iterator[Line]:
    if broker.is_redis:
        client = _redis_of(connection)
        client.ping()
        yield Line("broker", "ok", broker.location)
        yield from broker_redis(client)
        return
    properties: Any = connection.connection.server_properties
    product = f"{_text(properties, 'product')} {_text(properties, 'version')}".strip()
    yield Line("broker", "ok", f"{product} at {broker.location}")
    if _version(_text(properties, "version")) < (3, 10):
        yield Line("broker", "warn", "this RabbitMQ is older than 3.10, the oldest that was tested")


def _on_redis(connection: Connection, queue: str) -> Line:
    """A queue of Redis is a list that is there as long as something waits in it."""
    channel: Any = connection.default_channel
    try:
        channel.check_access(queue)
        return Line(f"queue {queue}", "ok", f"{channel.client.llen(queue)} waiting")
    except NoPermissionError as error:
        return Line(f"queue {queue}", "fail", f"the ACL user may not do all that is needed ({error}): {_LEAST}")
    except RedisError as error:
        return Line(f"queue {queue}", "fail", _unreadable(error))


def _unreadable(error: RedisError) -> str:
    what = "is no list" if "WRONGTYPE" in str(error) else type(error).__name__
    return f"{what}: something else uses this name, or the ACL user may not read it"


def _on_rabbitmq(broker: BrokerSettings, connection: Connection, queue: str) -> Line:
    """Asked for without making it; then, as it is there, declared as the worker will: that shows a mismatch."""
    subject, entity = f"queue {queue}", declared_queue(queue, broker)
    wanted = "quorum" if broker.ha_queues and queue != EXECUTOR_ANSWERS_QUEUE else "classic"
    try:
        with connection.channel() as channel:
            found = channel.queue_declare(queue, passive=True)
        with connection.channel() as channel:
            entity(channel).queue_declare()
    except NotFound:
        if not _may_declare(connection, queue):
            return Line(subject, "fail", f"is not declared yet, and the user may not declare it: {_NO_RIGHTS}")
        return Line(subject, "warn", f"is not declared yet: a worker that starts declares it, as a {wanted} queue")
    except PreconditionFailed as error:
        return Line(subject, "fail", _unlike_answers(error) if queue == EXECUTOR_ANSWERS_QUEUE else _mismatch(wanted))
    except (AccessRefused, ResourceLocked) as error:
        return Line(subject, "fail", f"{type(error).__name__}: {_NO_RIGHTS}")
    consumers = f", {found.consumer_count} consumers" if found.consumer_count else ", no consumers now"
    return Line(subject, "ok", f"{wanted}, {found.message_count} waiting{consumers}")


def _may_declare(connection: Connection, queue: str) -> bool:
    """Whether the user may make a queue of this name; none is made: RabbitMQ refuses the argument after the access."""
    try:
        with connection.channel() as channel:
            channel.queue_declare(queue, durable=True, arguments={"x-message-ttl": -1})
    except PreconditionFailed:
        return True
    except AccessRefused:
        return False
    return True


def _mismatch(wanted: str) -> str:
    other = {"quorum": "classic", "classic": "quorum"}[wanted]
    flag = {"quorum": "RABBITMQ_HA_ENABLED is on", "classic": "RABBITMQ_HA_ENABLED is off"}[wanted]
    return (
        f"is there with other arguments, probably as a {other} queue, while {flag}: set it as the platform has it, or "
        "delete the queue once it is empty"
    )


def _unlike_answers(error: PreconditionFailed) -> str:
    """The executor declares its answers' queue itself: with other arguments its publish fails."""
    found = re.search(r"inequivalent arg '([^']+)'", str(error))
    what = f"with another {found[1]}" if found else "with other arguments"
    return (
        f"is there {what}, so that answers of the executor would be refused and lost: it must be durable, classic and "
        "without arguments; delete it once it is empty, a worker that starts declares it"
    )


def _redis_of(connection: Connection) -> Redis:
    channel: Any = connection.default_channel
    client: Redis = channel.client
    return client


def _text(properties: Any, name: str) -> str:
    value = properties.get(name, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit()) or (99,)
