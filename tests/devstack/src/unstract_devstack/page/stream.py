"""Server-sent events: fragments that changed, to one watcher, for as long as it watches."""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import anyio
from attrs import frozen
from starlette.concurrency import run_in_threadpool

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


async def changes(look: Callable[[], View | None], pace: Pace, ending: Callable[[], bool]) -> AsyncIterator[bytes]:
    """What changed, look after look, until the page has nothing to show or the server ends."""
    yield f"retry: {pace.again * 1000:.0f}\n\n".encode()
    known: dict[str, bytes] = {}
    silent = 0.0
    while not ending():
        try:
            shown = await run_in_threadpool(look)
        except sqlite3.OperationalError:
            return  # the backend's database went away: the browser comes again, and a page says so by then
        if shown is None:
            return
        frames = [frame("fragment", html) for name, html in shown.fragments.items() if _changed(known, name, html)]
        if not frames and silent >= pace.heartbeat:
            frames = [HEARTBEAT]
        if frames:
            yield b"".join(frames)
        silent = 0.0 if frames else silent + pace.look
        await anyio.sleep(pace.look)


def _changed(known: dict[str, bytes], name: str, html: str) -> bool:
    digest = sha256(html.encode(errors="replace")).digest()
    before, known[name] = known.get(name), digest
    return before != digest
