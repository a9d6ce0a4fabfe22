"""Server-sent events: fragments that changed, to one watcher, for as long as it watches."""

import re
import select
import socket
import threading
from collections.abc import Callable
from hashlib import sha256

from attrs import frozen

from unstract_devstack.page.views import View

HEARTBEAT = b": still here\n\n"
LINE_END = re.compile(r"\r\n|\r|\n")


@frozen
class Pace:
    """Seconds: between two looks, of silence before a heartbeat, and before a browser connects again."""

    look: float = 0.7
    heartbeat: float = 10.0
    again: float = 2.0


def frame(event: str, data: str) -> bytes:
    """One event. Data of several lines is several `data` fields: every kind of line end ends a field."""
    lines = "".join(f"data: {line}\n" for line in LINE_END.split(data))
    return f"event: {event}\n{lines}\n".encode(errors="replace")


def watch(connection: socket.socket, view: Callable[[], View | None], ending: threading.Event, pace: Pace) -> None:
    """Sends what changed until the watcher is gone, the page has nothing to show, or `ending` is set.

    Raises:
        OSError: the connection broke.
    """
    connection.sendall(f"retry: {pace.again * 1000:.0f}\n\n".encode())
    known: dict[str, bytes] = {}
    silent = 0.0
    while not ending.is_set() and not _gone(connection):
        shown = view()
        if shown is None:
            return
        frames = [frame("fragment", html) for name, html in shown.fragments.items() if _changed(known, name, html)]
        if not frames and silent >= pace.heartbeat:
            frames = [HEARTBEAT]
        connection.sendall(b"".join(frames))
        silent = 0.0 if frames else silent + pace.look
        ending.wait(pace.look)


def _changed(known: dict[str, bytes], name: str, html: str) -> bool:
    digest = sha256(html.encode(errors="replace")).digest()
    before, known[name] = known.get(name), digest
    return before != digest


def _gone(connection: socket.socket) -> bool:
    """Whether the watcher has closed its end: watchers send nothing, so what can be read is the end."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)
