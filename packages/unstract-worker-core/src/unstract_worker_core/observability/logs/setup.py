"""Logging of a process: structlog and the standard library's loggers in one pipeline, one record a line."""

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter as Formatter

from unstract_worker_core.config.sections import LoggingSettings
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.logs.redaction import Redactor
from unstract_worker_core.observability.logs.rendering import console_line, json_line

__all__ = ["bind_task", "configure_logging", "get_logger"]

# Chatter of libraries: only shown where the operator asks for DEBUG.
_CHATTY = ("amqp", "asyncio", "kombu", "redis", "urllib3")
# They log whole URLs and every task's arguments, and a webhook's may hold its token: never below WARNING.
_INDISCREET = ("celery.pool", "httpcore", "httpx")


def configure_logging(settings: LoggingSettings, *, secrets: Iterable[str] = ()) -> None:
    """Route all logging of the process to stderr (and `settings.file`). May be called again.

    Args:
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
        processors=[structlog.stdlib.filter_by_level, *shared, Formatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    ending: list[Any] = [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Redactor(secrets),
        json_line if settings.format == "json" else console_line,
    ]
    _route(settings, _Formatter(shared, ending))
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
    batch_id: str | None = None,
) -> Iterator[None]:
    """Put ids on every record that is logged inside, by whatever library; None leaves what is bound."""
    given = {name: value for name, value in locals().items() if value is not None}
    bound = structlog.contextvars.bind_contextvars(**given)
    try:
        yield
    finally:
        structlog.contextvars.reset_contextvars(**bound)


def _route(settings: LoggingSettings, formatter: logging.Formatter) -> None:
    handlers: list[logging.StreamHandler[Any]] = [_Handler()]
    if settings.file:
        try:
            handlers.append(_FileHandler(Path(settings.file), encoding="utf-8"))
        except OSError as error:
            fault = Fault("LOG_FILE", f"cannot be opened for writing ({type(error).__name__})")
            raise ConfigurationError((fault,)) from None
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if isinstance(old, _Handler | _FileHandler):
            old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(settings.level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if settings.level == "DEBUG" else logging.WARNING)
    for name in _INDISCREET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("celery", "celery.task", "celery.worker", "py.warnings"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.captureWarnings(True)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    logging.getLogger("unstract_worker_core").critical("uncaught error", exc_info=(kind, error or kind(), trace))


class _Formatter(Formatter):
    """structlog's, which copies each record before it renders it; nothing of its own records is changed here."""

    def __init__(self, shared: list[Any], ending: list[Any]) -> None:
        super().__init__(foreign_pre_chain=shared, processors=[Formatter.remove_processors_meta, *ending])
        self._ending = ending

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line."""
        logger, method = getattr(record, "_logger", None), getattr(record, "_name", None)
        if logger is None or method is None or not isinstance(record.msg, dict):
            return super().format(record)
        event: Any = record.msg.copy()
        for processor in self._ending:
            event = processor(logger, method, event)
        return str(event)


class _Unformattable:
    """A record that cannot be rendered is named only: the standard library would print its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the standard library's
        sys.stderr.write(json_line(None, "", {"event": "log record lost", "logger": record.name}) + "\n")


class _Handler(_Unformattable, logging.StreamHandler[Any]):
    """Writes to stderr. Who finds another thread writing leaves the line to it: a hundred would queue up there."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record. As with the standard library's handlers, what goes wrong is never the caller's error."""
        if not self.filter(record):
            return False
        try:
            self._lines.append(self.format(record) + self.terminator)
            self._write()
        except Exception:  # noqa: BLE001 - see above
            self.handleError(record)
        return True

    def flush(self) -> None:
        """Write what waits."""
        self._write()
        super().flush()

    def _write(self) -> None:
        # Looked at again once the lock is free: a line may have come after the last look of the thread that had it.
        while self._lines and self.lock is not None and self.lock.acquire(blocking=False):
            try:
                self.stream.write("".join(self._lines.popleft() for _ in range(len(self._lines))))
                self.stream.flush()
            finally:
                self.lock.release()


class _FileHandler(_Unformattable, logging.FileHandler):
    """Writes to the operator's file."""
