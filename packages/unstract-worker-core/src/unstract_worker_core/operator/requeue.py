"""Sending a dead letter's message again, where all of it was kept."""

import json
from typing import Any
from uuid import uuid4

from attrs import frozen
from kombu.exceptions import KombuError

from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.ledger import DeadLetter
from unstract_worker_core.queues import WORKER_QUEUES, queue_for
from unstract_worker_core.worker.broker import declared_queue, publishing_connection
from unstract_worker_core.worker.doorbell_publisher import message_headers

__all__ = ["BrokerAway", "Message", "NotWhole", "message_of", "publish"]

_STARS = "***"
_KEPT_WHOLE_BELOW = 4096


class NotWhole(Exception):
    """Why a letter cannot be sent again."""


class BrokerAway(Exception):
    """The broker did not take the message; named after the driver's error."""


@frozen
class Message:
    """A task message to be sent: its name and id, where to, and its arguments."""

    task: str
    task_id: str
    queue: str
    args: list[Any]
    kwargs: dict[str, Any]


def message_of(letter: DeadLetter, queue: str | None) -> Message:
    """The message that a letter was made from, for `queue` or the queue that it came from. Raises NotWhole."""
    if letter.task in ("orchestrate", "finalise"):
        raise NotWhole("it tells of a run that was closed: start the execution again at the platform")
    if not letter.body or not letter.task:
        raise NotWhole("nothing of its message was kept, as of every webhook: send it again where it came from")
    if _STARS in letter.body:
        raise NotWhole("secrets in its message were starred out: send it again where it came from")
    target = queue or letter.queue or queue_for(letter.task)
    if not target:
        raise NotWhole(f"no queue is known for the task {letter.task}: say --queue")
    _check(target)
    args, kwargs = _arguments(letter)
    return Message(letter.task, letter.task_id or str(uuid4()), target, args, kwargs)


def publish(message: Message, broker: BrokerSettings) -> None:
    """Publish it, persistent and with the id that it had: what was accepted before is not accepted twice."""
    connection = publishing_connection(broker)
    try:
        _ = connection.default_channel  # connects, as the options say
        declared_queue(message.queue, broker)(connection.default_channel).declare()
        connection.Producer(auto_declare=False).publish(
            json.dumps([message.args, message.kwargs, {}]), exchange="", routing_key=message.queue,
            headers=message_headers(message.task, message.task_id), correlation_id=message.task_id,
            content_type="application/json", content_encoding="utf-8", delivery_mode=2,
        )  # fmt: skip
    except (KombuError, OSError, *connection.connection_errors, *connection.channel_errors) as error:
        raise BrokerAway(type(error).__name__) from None
    finally:
        connection.release()


def _check(queue: str) -> None:
    known = {name for entry in WORKER_QUEUES for name in (*entry.platform, *entry.own)}
    if queue not in known and not queue.replace("_", "").replace("-", "").isalnum():
        raise NotWhole("the queue's name must be letters, digits, _ and -")


def _arguments(letter: DeadLetter) -> tuple[list[Any], dict[str, Any]]:
    if len(letter.body) >= _KEPT_WHOLE_BELOW:
        raise NotWhole("its message was cut to 4 KiB when it was kept: send it again where it came from")
    try:
        body = json.loads(letter.body)
    except ValueError:
        raise NotWhole("what was kept of its message is not JSON") from None
    if isinstance(body, list) and len(body) == 3:  # a whole message of Celery's protocol 2
        args, kwargs = body[0], body[1]
    elif isinstance(body, dict):
        args, kwargs = body.get("args", []), body.get("kwargs", {})
    else:
        args, kwargs = None, None
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise NotWhole("what was kept of its message is not a task's arguments")
    return args, kwargs
