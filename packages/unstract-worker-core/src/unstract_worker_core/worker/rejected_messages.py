"""Messages that are refused: which ones, and the dead letter that is kept of each.

Accepted is JSON in UTF-8, uncompressed, of bounded size, in the shape of a Celery task. Everything else is refused
before anything of it is decoded or run. A dead letter has its reason and is redacted, its body cut to 4 KiB.
"""

import json
import math
from typing import Any, NoReturn

from kombu import compression
from kombu.exceptions import DecodeError

from unstract_worker_core.ledger import DeadLetter
from unstract_worker_core.observability.logs import Redactor, get_logger
from unstract_worker_core.queues import EXECUTOR_ANSWER_TASK
from unstract_worker_core.runs.runtime import Delivery, Runtime

BODY_LIMIT = 64 * 1024 * 1024
# What reading a message raises when it is malformed; no errors of a connection or a server.
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_KEPT_BODY = 4096
_TEXT = ("utf-8", "utf8", "us-ascii", None)
_LONGEST_INTEGER = 4000  # digits; Python itself reads 4300
# Any argument of these may be a URL or a header with a credential, which no pattern can recognise.
# An executor's answer is the content of a customer's document.
_NEVER_KEPT = frozenset({"send_webhook_notification", EXECUTOR_ANSWER_TASK})

log = get_logger(__name__)


def rejection_reason(message: Any, *, limit: int = BODY_LIMIT) -> str | None:
    """Why a kombu message is refused, or None. Decodes the body only once the envelope is in order."""
    reason = _envelope(message, limit)
    if reason is not None:
        return reason
    try:
        payload = _decoded(message)
    except Exception as error:  # noqa: BLE001 - process boundary: whatever a decoder raises, the message is what is wrong
        return f"its body cannot be decoded ({type(error).__name__})"
    if "task" in message.headers:
        return _version_2(message.headers, payload)
    if not isinstance(payload, dict) or not isinstance(payload.get("task"), str):
        return "it is not a task message"
    return _call(payload.get("id"), payload.get("args", ()), payload.get("kwargs", {}))


def _decoded(message: Any) -> Any:
    """The body. What a decoder refuses at one place becomes a value that is refused with its own field.

    Bytes that are not UTF-8 become lone surrogates, integers of thousands of digits become infinity.
    """
    try:
        return message.payload
    except DecodeError:
        text = message.body if isinstance(message.body, str) else bytes(message.body).decode("utf-8", "surrogateescape")
        message.body = json.dumps(json.loads(text, parse_int=_integer))
        return message.payload


def _integer(digits: str) -> float:
    return math.inf if len(digits) > _LONGEST_INTEGER else int(digits)


def _envelope(message: Any, limit: int) -> str | None:
    if not isinstance(message.headers, dict):
        return "its headers are not an object"
    if message.headers.get("compression"):
        return "it is compressed: compressed messages are refused"
    encoding = message.content_encoding
    encoding = encoding.lower() if isinstance(encoding, str) else encoding
    if message.content_type != "application/json" or encoding not in _TEXT:
        return "it is not JSON in UTF-8 by its content type and encoding"
    if not isinstance(message.body, str | bytes | memoryview):
        return "it has no body"
    if len(message.body) > limit:
        return f"its body is larger than {limit} bytes"
    return None


def _version_2(headers: dict[str, Any], payload: Any) -> str | None:
    if not isinstance(headers["task"], str):
        return "its task name is not text"
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        return "its body is not [args, kwargs, embed]"
    args, kwargs, embed = payload
    if embed is not None and not isinstance(embed, dict):
        return "its embedded part is not an object"
    if not isinstance(headers.get("retries") or 0, int):
        return "its count of retries is not a number"
    return _call(headers.get("id"), args, kwargs)


def _call(task_id: object, args: object, kwargs: object) -> str | None:
    if not isinstance(task_id, str) or not 0 < len(task_id) <= 255 or not task_id.isprintable():
        return "its task id is missing or malformed"
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        return "its arguments are not a list and an object"
    return None


def refuse_compression() -> None:
    """From now on this process unpacks no message, whatever its `compression` header says. May be called again.

    kombu unpacks while it makes the message object, before its headers can be looked at: a message of 1 MB may become
    one of gigabytes. With this it fails instead, and the consumer refuses the message as a compressed one.
    """
    for content_type in compression.encoders():
        encoder, _ = compression.get_encoder(content_type)
        compression.register(encoder, _refuse_body, content_type)


def _refuse_body(body: object) -> NoReturn:
    raise ValueError("compressed messages are refused")


def dead_letter_task(runtime: Runtime, delivery: Delivery, reason: str) -> None:
    """Keep a delivered task. Raises LedgerError when it cannot be kept: the message must not be dropped."""
    dead_letter(
        runtime,
        task=delivery.task,
        task_id=delivery.task_id,
        queue=delivery.queue,
        reason=reason,
        content={"args": list(delivery.args), "kwargs": delivery.kwargs},
    )


def dead_letter_message(runtime: Runtime, message: Any, reason: str) -> None:
    """Keep a message that is no delivered task yet; its content only where it can be read. Raises LedgerError."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    content = message.payload if rejection_reason(message) is None else None
    called = content if isinstance(content, dict) else headers  # protocol 1 has all in its body
    dead_letter(
        runtime,
        task=str(called.get("task", "")),
        task_id=str(called.get("id", "")),
        queue=str((message.delivery_info or {}).get("routing_key", "")),
        reason=reason,
        content=content,
        kind="message",
    )


def dead_letter(
    runtime: Runtime, *, task: str, task_id: str, queue: str, reason: str, content: object | None, kind: str = "task"
) -> None:
    """Keep a message with what is known of it. Raises LedgerError.

    Args:
        content: its decoded body; None where it is not safe to keep. Of webhooks and
            executors' answers nothing is kept, by any worker.
        kind: counts in the metrics as a "task" or as a "message".
    """
    if task in _NEVER_KEPT:
        content = None
    redactor = Redactor(runtime.settings.secrets())
    body = "" if content is None else json.dumps(redactor.value(content), default=str)[:_KEPT_BODY]
    letter = DeadLetter(
        task=redactor.text(task)[:255],
        queue=queue[:255],
        reason=redactor.text(reason)[:500],
        task_id=redactor.text(task_id)[:255],
        body=body,
    )
    runtime.ledger.dead_letters.add(letter)
    runtime.metrics.dead_letters.labels(kind).inc()
    log.error("message dead-lettered", task=letter.task, queue=letter.queue, reason=letter.reason)
