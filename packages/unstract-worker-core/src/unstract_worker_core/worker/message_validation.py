"""Which messages are looked at: JSON in UTF-8, uncompressed, of bounded size, in the shape of a Celery task.

Everything else is refused before anything of it is decoded or run.
"""

import json
import math
from typing import Any, NoReturn

from kombu import compression
from kombu.exceptions import DecodeError

BODY_LIMIT = 64 * 1024 * 1024
_TEXT = ("utf-8", "utf8", "us-ascii", None)
_LONGEST_INTEGER = 4000  # digits; Python itself reads 4300


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

    Bytes that are not UTF-8 become halves of surrogate pairs, integers of thousands of digits become infinity.
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
