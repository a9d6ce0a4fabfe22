"""Faults on demand: which requests are to go wrong, and how."""

import re
import threading
import time
import uuid
from enum import StrEnum
from typing import Any

from attrs import define, field


class FaultKind(StrEnum):
    """What happens to a request.

    ``status``: this status with a JSON error, not applied. ``html``: a page, not applied. ``body``: this text with
    this status, not applied. ``delay``: waits, then goes on as usual. ``hang``: waits, then cuts. ``cut_before``: closes
    the connection, not applied. The others are applied first: ``cut_after`` closes the connection instead of
    answering; ``answer`` answers with this status and body; ``slow`` sends the answer at so many bytes a second;
    ``truncated`` sends half of it and closes.
    """

    STATUS = "status"
    HTML = "html"
    BODY = "body"
    DELAY = "delay"
    HANG = "hang"
    CUT_BEFORE = "cut_before"
    CUT_AFTER = "cut_after"
    ANSWER = "answer"
    SLOW = "slow"
    TRUNCATED = "truncated"


@define
class Fault:
    """One fault: its match, its kind and the kind's parameters, how often or how long it acts."""

    kind: FaultKind
    path: re.Pattern[str]
    method: str | None = None
    status: int = 503
    body: str = '{"error": "injected"}'
    delay: float = 30.0
    bytes_per_second: float = 1.0
    remaining: int | None = None
    until: float | None = None
    skip: int = 0
    hits: int = 0
    id: str = field(factory=lambda: str(uuid.uuid4()))

    def spent(self) -> bool:
        """Whether it acts no more."""
        if self.remaining is not None and self.hits >= self.remaining:
            return True
        return self.until is not None and time.monotonic() >= self.until


class Faults:
    """The faults that are set, in the order in which they were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Set one more."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Remove all."""
        with self._lock:
            self._faults.clear()

    def listed(self) -> list[Fault]:
        """All that are set, spent ones too."""
        with self._lock:
            return list(self._faults)

    def hit(self, method: str, path: str) -> Fault | None:
        """The first fault that acts on this request, which counts as one hit."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.spent() or (fault.method and fault.method != method) or not fault.path.search(path):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                return fault
        return None


def fault_from(body: dict[str, Any]) -> Fault:
    """A fault as the dev API takes it. Raises ValueError saying what is wrong."""
    if "kind" not in body or "path" not in body:
        raise ValueError("a fault needs kind and path (a regular expression searched in the path)")
    try:
        kind, pattern = FaultKind(body["kind"]), re.compile(str(body["path"]))
    except re.error as problem:
        raise ValueError(f"path is not a regular expression: {problem}") from None
    fault = Fault(kind, pattern, method=str(body["method"]).upper() if body.get("method") else None)
    fault.status = int(body.get("status", 200 if kind in {FaultKind.HTML, FaultKind.BODY} else 503))
    fault.body = str(body.get("body", fault.body))
    fault.delay = float(body.get("delay", fault.delay))
    fault.bytes_per_second = float(body.get("bytes_per_second", fault.bytes_per_second))
    fault.skip = int(body.get("skip", 0))
    fault.remaining = int(body["count"]) if body.get("count") is not None else None
    fault.until = time.monotonic() + float(body["seconds"]) if body.get("seconds") is not None else None
    return fault
