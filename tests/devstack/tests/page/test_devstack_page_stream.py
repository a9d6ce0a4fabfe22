"""What is sent to watchers, and that without watchers nothing is done."""

import contextlib
import http.client
import threading
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstract_devstack.page import running_page
from unstract_devstack.page.server import Bounds
from unstract_devstack.page.stream import Pace, frame
from unstract_devstack.processes import wait_until

PATIENCE = 20


class Watching:
    """A stream that is read event by event, as a browser reads it."""

    def __init__(self, handle, path="/live/"):
        target = urlsplit(handle.url)
        self.connection = http.client.HTTPConnection(target.hostname, target.port, timeout=PATIENCE)
        self.connection.request("GET", path)
        self.answer = self.connection.getresponse()

    def block(self):
        """The lines up to the next empty one; None at the end."""
        lines = []
        while line := self.answer.readline():
            if line == b"\n":
                return lines
            lines.append(line.decode().rstrip("\n"))
        return None

    def fragment(self, name):
        """The next fragment of this name."""
        while (block := self.block()) is not None:
            html = "\n".join(line.removeprefix("data: ") for line in block if line.startswith("data: "))
            if f'id="{name}"' in html:
                return html
        raise AssertionError(f"the stream ended without {name}")


@contextlib.contextmanager
def watching(handle, path="/live/"):
    watcher = Watching(handle, path)
    try:
        yield watcher
    finally:
        watcher.connection.close()
        watcher.answer.close()


@given(st.text(alphabet="\r\n: \u2028\u0085\x0b\x0c\x00d"))
def test_a_frame_is_read_back_whole_and_alone(data):
    text = frame("fragment", data).decode()
    assert text.endswith("\n\n")
    head, *lines = text[:-2].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert head == "event: fragment"
    assert all(line.startswith("data: ") for line in lines)
    read = "\n".join(line.removeprefix("data: ") for line in lines)
    assert read == data.replace("\r\n", "\n").replace("\r", "\n")


def test_a_watcher_is_told_how_to_come_back_then_all_then_only_what_changed(served, scene):
    with watching(served) as watcher:
        assert watcher.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert watcher.block() == ["retry: 100"]
        first = [watcher.fragment(name) for name in ("totals", "executions", "ledger", "webhooks", "workers")]
        assert len(first) == 5
        execution_id = scene.execution("EXECUTING")
        assert f"e-{execution_id}" in watcher.fragment("executions")
        scene.database.connection().execute("UPDATE executions SET status = 'COMPLETED'")
        assert "COMPLETED" in watcher.fragment("totals")
        assert "COMPLETED" in watcher.fragment("executions")
        # Nothing else changes any more, so all that comes are heartbeats.
        assert [watcher.block() for _ in range(3)] == [[": still here"]] * 3


def test_one_execution_can_be_watched(served, scene):
    execution_id = scene.execution("EXECUTING")
    with watching(served, f"/live/executions/{execution_id}") as watcher:
        assert watcher.fragment("events")  # the last of those that come first
        scene.file(execution_id, "a\rb\nc.pdf")
        assert "a\nb\nc.pdf" in watcher.fragment("files")


def test_what_is_not_there_is_not_watched(served):
    with watching(served, "/live/executions/none") as watcher:
        assert watcher.block() == ["retry: 100"]
        assert watcher.block() is None
    with watching(served, "/live") as watcher:
        assert watcher.answer.status == 404


def test_too_many_watchers_are_refused_until_one_leaves(served):
    with watching(served) as first, watching(served) as second, watching(served) as third:
        assert first.fragment("workers")
        assert second.fragment("workers")
        assert third.answer.status == 503
        first.connection.close()
        first.answer.close()
        assert wait_until(lambda: served.watchers == 1, seconds=PATIENCE)
        with watching(served) as fourth:
            assert fourth.fragment("workers")


def test_nothing_is_looked_at_when_nobody_watches(scene):
    # Nothing is ever sent here that could fail: it is still noticed that the watcher left.
    with running_page(scene.sources(), bounds=Bounds(pace=Pace(look=0.02, heartbeat=3600))) as handle:
        with watching(handle) as watcher:
            watcher.fragment("workers")
        assert wait_until(lambda: handle.watchers == 0, seconds=PATIENCE)
        looks = scene.looks
        assert looks > 0
        # Twenty times as long as from one look to the next.
        assert not threading.Event().wait(20 * 0.02)
        assert scene.looks == looks


@pytest.mark.parametrize("idle", [False, True])
def test_the_end_of_the_page_ends_every_stream(scene, idle):
    # A pace that would keep the stream asleep for ever, if the end did not wake it.
    bounds = Bounds(pace=Pace(look=3600)) if idle else Bounds(pace=Pace(look=0.02, heartbeat=0.02))
    with contextlib.ExitStack() as ending:
        with running_page(scene.sources(), bounds=bounds) as handle:
            watcher = ending.enter_context(watching(handle))
            watcher.fragment("workers")
            target = urlsplit(handle.url)
            kept = http.client.HTTPConnection(target.hostname, target.port, timeout=PATIENCE)
            ending.callback(kept.close)
            kept.request("GET", "/static/page.js")
            assert kept.getresponse().read()
        while watcher.block() is not None:
            pass
        assert kept.sock.recv(1) == b""
        assert wait_until(lambda: handle.watchers == 0, seconds=PATIENCE)
