"""Where log lines go: stderr and the operator's file. What cannot be written is lost and counted; work goes on."""

import io
import logging
import os
import select
import sys
import threading
import time
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

# What a pipe takes without blocking as soon as poll() says that it can be written.
_CHUNK = select.PIPE_BUF
# How long one record waits for a pipe's reader. The records after it do not wait until the pipe has room again.
_PATIENCE_SECONDS = 1.0

_lost = 0
_lost_lock = threading.Lock()


def lost_records() -> int:
    """How many records of this process could not be written: disk full, reader gone or stopped, not formattable."""
    return _lost


class LineStream:
    """The part of a text stream that a logging handler uses, on a descriptor whose reader may be slow or stopped.

    A write to a full pipe blocks, and with it every thread that logs. Here a line waits for a moment, then it is lost.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._stalled = False
        self._cut = False

    def write(self, text: str) -> None:
        """Write all of it. Raises OSError: nothing, or only the beginning was written."""
        data = memoryview((f"\n{text}" if self._cut else text).encode("utf-8", "backslashreplace"))
        deadline = time.monotonic() + (0 if self._stalled else _PATIENCE_SECONDS)
        while data:
            self._wait(deadline)
            data = data[os.write(self.fileno(), data[:_CHUNK]) :]
            self._cut = bool(data)  # the next line does not go on where this one was broken off
        self._stalled = False

    def _wait(self, deadline: float) -> None:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
            self._stalled = True
            raise TimeoutError("the reader of the log does not read")

    def fileno(self) -> int:
        """The descriptor."""
        return int(self._stream.fileno())

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class CountsLosses(logging.StreamHandler[Any]):
    """A handler whose failures never reach the code that logs: a full disk must not end a worker."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the standard library's
        """Count the record. One that cannot be rendered is named, without its arguments: they may hold a secret."""
        global _lost  # noqa: PLW0603 - logging is one per process, and so is its count
        with _lost_lock:
            _lost += 1
        if not isinstance(sys.exc_info()[1], OSError | ValueError) and self.stream is not None:
            name = "".join(char for char in record.name if char.isprintable() and char not in '"\\')
            with suppress(OSError, ValueError):
                self.stream.write(f'{{"event":"log record lost","logger":"{name}"}}\n')


class StderrHandler(CountsLosses):
    """Writes to stderr."""

    def __init__(self) -> None:
        try:
            sys.stderr.fileno()
        except io.UnsupportedOperation:  # a test's
            super().__init__(sys.stderr)
        else:
            super().__init__(LineStream(sys.stderr))


class FileHandler(CountsLosses, WatchedFileHandler):
    """Writes to the operator's file, and opens it again once logrotate has renamed it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. Opening the file again may fail outside of the standard library's own handling."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def _open(self) -> Any:
        """Open the file. A named pipe without a reader is an error (ENXIO), and is not waited for."""
        opened = open(self.baseFilename, "ab", buffering=0, opener=_without_waiting)  # noqa: SIM115 - closed by the handler
        return LineStream(opened)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def why_not_opened(path: str, error: OSError) -> str:
    """In words, for the operator who set it."""
    with suppress(OSError):
        if Path(path).is_fifo():
            return "is a pipe that no process reads"
    return f"cannot be opened for writing ({type(error).__name__})"
