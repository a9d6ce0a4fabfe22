"""Logging of a process: structlog and the standard library's loggers in one pipeline, one record a line.

Secrets are kept out of it: by key, by pattern in any text, and by the literal values of this process.
"""

import logging
import math
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import quote
from uuid import UUID

import structlog
from structlog.stdlib import ProcessorFormatter

from unstract_worker_core.config.sections import LoggingSettings
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.log_targets import CountsLosses, FileHandler, StderrHandler, why_not_opened

# Libraries that log much: shown only where the operator asks for DEBUG.
_VERBOSE = ("amqp", "asyncio", "kombu", "redis", "urllib3")
# They log whole URLs and every task's arguments, and a webhook's may hold its token: never below WARNING.
_INDISCREET = ("celery.pool", "httpcore", "httpx")

_STARS = "***"
_WORDS = (
    r"authorization|api[_-]?key|passw(?:or)?d|secret|cookie|credential|connector[_-]?metadata|private[_-]?key"
    r"|access[_-]?key|(?:access|auth|refresh|bearer|session)[_-]?token|(?<![a-z0-9])token(?![a-z])"
)
_KEY = re.compile(_WORDS, re.IGNORECASE)
# Each of the words contains one of these: searching for them costs a twentieth.
_TRACES = ("authorization", "bearer", "cookie", "credential", "key", "metadata", "passw", "secret", "token")
# Every repetition is bounded or cannot overlap another: a hostile text must not make logging slow.
_NAME = rf"(?:{_WORDS})[\w\-]{{0,40}}[\"']?\s{{0,4}}"
_URL = re.compile(r"\b([a-z][a-z0-9+.\-]{0,20}://)[^\s/\"'<>]*@", re.IGNORECASE)
_PATTERNS = (
    (r"\b(bearer\s{1,4})[^\s\"',;)\]}]+", rf"\1{_STARS}"),
    # {"password": "x"}, [(b'x-api-key', b'x')], secret='x'
    (rf"({_NAME}(?:[:=]|,(?=\s{{0,4}}b?[\"']))\s{{0,4}}b?)(?:\"[^\"]*\"|'[^']*')", rf"\1{_STARS}"),
    # Authorization: Basic x, to the end of the line
    (r"((?:authorization|cookie)[\"']?\s{0,4}[:=]\s{0,4})[^\r\n\"',}]+", rf"\1{_STARS}"),
    # password=x, to the end of the word; but "X_PASSWORD: is required" is a fault, not a value
    (rf"({_NAME}[:=]\s{{0,4}})(?!(?:is|must|names|needs|has) )[^\s\"',;&)\]}}]+", rf"\1{_STARS}"),
)
_PLAIN = (bool, int, type(None))
_LONGEST, _DEEPEST, _MOST = 16 * 1024, 6, 200


def configure_logging(settings: LoggingSettings, *, secrets: Iterable[str] = ()) -> None:
    """Route all logging of the process to stderr (and `settings.file`). May be called again.

    Args:
        settings: level, format (``json`` or ``console``) and an optional file.
        secrets: literal values that must never appear (`Settings.secrets()`).

    Raises:
        ConfigurationError: the file cannot be opened.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    ending = [
        ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Redactor(secrets),
        *_renderers(settings.format),
    ]
    _route(settings, ProcessorFormatter(foreign_pre_chain=shared, processors=ending))
    sys.excepthook = _uncaught
    threading.excepthook = lambda failed: _uncaught(failed.exc_type, failed.exc_value, failed.exc_traceback)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; events are words with fields: ``log.info("batch claimed", files=3)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def bind_task(
    *,
    task_id: str | None = None,
    task: str | None = None,
    execution_id: str | None = None,
    file_execution_id: str | None = None,
    organization_id: str | None = None,
    batch_id: int | None = None,
) -> Iterator[None]:
    """Put ids on every record that is logged inside, by any library; None leaves the value that is bound."""
    given = {name: value for name, value in locals().items() if value is not None}
    bound = structlog.contextvars.bind_contextvars(**given)
    try:
        yield
    finally:
        structlog.contextvars.reset_contextvars(**bound)


def open_standard_streams() -> None:
    """Open /dev/null as stdin, stdout and stderr where the process was started without them.

    Otherwise the next socket that is opened gets their number, and whatever writes to stderr writes into it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - a descriptor, for the life of the process


def _renderers(form: str) -> list[Any]:
    if form == "json":
        return [structlog.processors.JSONRenderer(sort_keys=True, separators=(",", ":"), default=repr)]
    plain = structlog.dev.plain_traceback  # the redacted text, not the exception itself
    return [_printable_event, structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)]


def _printable_event(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape control characters: a value cannot begin a line that looks like another record."""
    for key, value in event.items():
        if isinstance(value, str):
            if key in ("exception", "stack"):
                event[key] = "\n".join(f"    {_printable(line)}" for line in value.splitlines())
            else:
                event[key] = _printable(value)
    return event


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _route(settings: LoggingSettings, formatter: logging.Formatter) -> None:
    handlers: list[logging.Handler] = [StderrHandler()]
    if settings.file:
        try:
            handlers.append(FileHandler(settings.file))
        except OSError as error:
            raise ConfigurationError((Fault("LOG_FILE", why_not_opened(settings.file, error)),)) from None
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if isinstance(old, CountsLosses):
            old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(settings.level)
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(logging.NOTSET if settings.level == "DEBUG" else logging.WARNING)
    for name in _INDISCREET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("celery", "celery.task", "celery.worker", "py.warnings"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.captureWarnings(True)
    warnings.formatwarning = _format_warning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """One line: the standard library's form spans several and ends with the source of the call."""
    return f"{category.__name__}: {' '.join(str(message).split())} ({filename}:{lineno})"


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    logging.getLogger("unstract_worker_core").critical("uncaught error", exc_info=(kind, error or kind(), trace))


@lru_cache(maxsize=512)
def _names_a_secret(key: str) -> bool:
    return _KEY.search(key) is not None


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Compiled when a text first needs them: a start hardly does."""
    return tuple((re.compile(pattern, re.IGNORECASE), replacement) for pattern, replacement in _PATTERNS)


def _suspicious(text: str) -> bool:
    """Whether it contains a word that any of the patterns needs: most texts contain none."""
    lower = text.lower()
    if text.isascii() and not any(trace in lower for trace in _TRACES):
        return False
    return _KEY.search(text) is not None or "bearer" in lower


class Redactor:
    """Cleans event dictionaries. `secrets` are literal values; short ones (below six) hit too much."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = [value for value in secrets if len(value) > 5]
        forms = {form for value in known for form in (value, quote(value, safe=""), repr(value)[1:-1])}
        ordered = sorted(forms, key=len, reverse=True)
        self._literals = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, value: str) -> str:
        """A text without secrets, cut to 16 KiB."""
        value = value[: 2 * _LONGEST]
        if self._literals:
            value = self._literals.sub(_STARS, value)
        if "://" in value:
            value = _URL.sub(rf"\1{_STARS}@", value)
        if _suspicious(value):
            for pattern, replacement in _patterns():
                value = pattern.sub(replacement, value)
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "... (cut)"

    def _harmless(self, text: str) -> bool:
        """Whether nothing in it can be a secret: one search clears most records."""
        if len(text) > _LONGEST or "://" in text or _suspicious(text):
            return False
        return self._literals is None or self._literals.search(text) is None

    def value(self, value: object, depth: int = 0) -> Any:
        """A value that is safe to render: texts cleaned, containers walked, anything else as cleaned text."""
        if self._is_number(value):
            return value
        if isinstance(value, str):
            return self.text(str(value))
        if depth < _DEEPEST and isinstance(value, Mapping):
            items = list(value.items())[:_MOST]
            return {self.text(str(key)): self._named(str(key), item, depth + 1) for key, item in items}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth + 1) for item in list(value)[:_MOST]]
        return self.text(str(value) if isinstance(value, UUID | Decimal | datetime | float) else repr(value))

    @staticmethod
    def _is_number(value: object) -> bool:
        """None, a truth value or a number that JSON has; NaN and infinity are shown as text."""
        return isinstance(value, _PLAIN) or (isinstance(value, float) and math.isfinite(value))

    def _named(self, key: str, value: object, depth: int) -> Any:
        return _STARS if _names_a_secret(key) else self.value(value, depth)

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """As a processor of structlog: the last one before the renderer."""
        texts = [value for value in event.values() if type(value) is str]
        plain = all(type(value) is str or self._is_number(value) for value in event.values())
        if plain and self._harmless("\n".join((*event, *texts))):
            return event
        for key in list(event):
            event[key] = self._named(key, event[key], 0)
        return event
