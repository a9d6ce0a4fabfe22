"""Parts of the process by themselves: the gate, the boundary, the watchdog, the commands."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from celery.exceptions import Reject

from unstract_devstack.processes import wait_until
from unstract_worker_core.errors import (
    BackendRefused,
    BackendUnavailable,
    LedgerUnavailable,
    MessageError,
    SteppedAside,
)
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.runs.run_handler import retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, IsolationLock
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.testing import RecordingDoorbells, Ring, environment_for, running_runtime, settings_for
from unstract_worker_core.worker.tasks import boundary
from unstract_worker_core.worker.watchdog import Watchdog, resident_mb

DELIVERY = Delivery("task.name", "id-1", "queue", args=(1,), kwargs={"api_key": "canary", "x": "y" * 9000})


@pytest.fixture
def runtime(redis_url):
    with running_runtime(settings_for(WorkerType.CALLBACK, redis_url=redis_url)) as runtime:
        yield runtime


class Running:
    """A block in a thread: entered or not, let out or not."""

    def __init__(self, block):
        self.inside, self.out, self.error = threading.Event(), threading.Event(), None
        self.thread = threading.Thread(target=self._run, args=(block,), daemon=True)
        self.thread.start()

    def _run(self, block):
        try:
            with block:
                self.inside.set()
                self.out.wait(30)
        except SteppedAside as error:
            self.error = error

    def leave(self):
        self.out.set()
        self.thread.join(10)


def test_shared_files_run_together_and_one_alone_keeps_all_out():
    gate = IsolationLock(threading.Event())
    first, second = Running(gate.shared()), Running(gate.shared())
    assert first.inside.wait(5)
    assert second.inside.wait(5)
    alone = Running(gate.exclusive())
    assert wait_until(lambda: gate._waiting_exclusive == 1, seconds=5)
    late = Running(gate.shared())
    first.leave()
    assert not alone.inside.is_set()
    second.leave()
    assert alone.inside.wait(5)
    assert not late.inside.is_set()
    alone.leave()
    assert late.inside.wait(5)
    late.leave()


def test_a_file_that_hangs_keeps_one_alone_out_but_not_for_ever_the_others():
    gate = IsolationLock(threading.Event(), patience=0.3)
    hanging = Running(gate.shared())
    assert hanging.inside.wait(5)
    alone = Running(gate.exclusive())
    alone.thread.join(5)
    assert isinstance(alone.error, SteppedAside)
    assert alone.error.delay_seconds == 0.3
    other = Running(gate.shared())
    assert other.inside.wait(5)
    other.leave()
    hanging.leave()


@pytest.mark.parametrize("kind", ["shared", "exclusive"])
def test_waiting_at_the_gate_ends_with_a_drain(kind):
    draining = threading.Event()
    gate = IsolationLock(draining)
    holder = Running(gate.exclusive())
    assert holder.inside.wait(5)
    waiter = Running(getattr(gate, kind)())
    draining.set()
    waiter.thread.join(5)
    assert isinstance(waiter.error, SteppedAside)
    holder.leave()
    with gate.shared():
        assert not gate._exclusive


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SteppedAside("drain"), "stepped_aside"),
        (LedgerUnavailable("away"), "deferred"),
        (BackendUnavailable("away", endpoint="e"), "deferred"),
        (BackendRefused("no", endpoint="e"), "refused"),
        (ValueError("defect"), "failed"),
        (MessageError("bad", field="f"), "rejected"),
    ],
)
def test_every_error_has_an_end_and_is_counted(runtime, error, outcome):
    with boundary(runtime, DELIVERY):
        raise error
    labels = {"name": "task.name", "outcome": outcome}
    assert runtime.metrics.registry.get_sample_value("unstract_worker_tasks_total", labels) == 1
    assert runtime.progress.slots_in_use == 0
    assert runtime.ledger.dead_letters.count() == (1 if outcome == "rejected" else 0)


def test_a_dead_letter_is_redacted_and_cut(runtime):
    with boundary(runtime, DELIVERY):
        raise MessageError("bad", field="f")
    (letter,) = runtime.ledger.dead_letters.newest()
    assert (letter.task, letter.queue, letter.task_id, letter.reason) == ("task.name", "queue", "id-1", "f: bad")
    assert "canary" not in letter.body
    assert len(letter.body) == 4096


class AgainError(Exception):
    """What the boundary raises for a chord's task."""


@pytest.mark.parametrize(
    ("error", "seconds"), [(SteppedAside("later", delay_seconds=7), 7), (LedgerUnavailable("x"), 5)]
)
def test_a_chords_task_comes_back(runtime, error, seconds):
    asked = []

    def again(delay):
        asked.append(delay)
        return AgainError()

    with pytest.raises(AgainError), boundary(runtime, DELIVERY, again=again):
        raise error
    assert asked == [seconds]


def test_accepting_tries_until_the_ledger_is_back(runtime):
    answers = iter([LedgerUnavailable("away"), "accepted"])

    def step():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retry_until_accepted(runtime, step) == "accepted"


def test_accepting_gives_the_message_back_when_the_process_drains(runtime):
    def step():
        raise LedgerUnavailable("away")

    runtime.draining.set()
    with pytest.raises(Reject) as caught:
        retry_until_accepted(runtime, step)
    assert caught.value.requeue


def test_a_step_of_the_ledger_is_progress_of_its_slot(redis_url):
    settings = settings_for(WorkerType.CALLBACK, redis_url=redis_url)
    with running_runtime(settings) as runtime, boundary(runtime, DELIVERY):
        runtime.ledger.runs.state("nobody")  # connects
        assert wait_until(lambda: bool(runtime.progress.stuck(1.0)), seconds=5)
        runtime.ledger.runs.state("nobody")
        assert not runtime.progress.stuck(1.0)


def test_the_watchdog_reports_what_waits_in_this_workers_queues(runtime):
    depth = iter([3, 3, 0])
    reported = []
    watchdog = Watchdog(runtime, lambda: None, lambda: next(depth), memory_mb=lambda: 0.0)
    runtime.progress.due = reported.append
    for _ in range(3):
        watchdog.tick()
    assert reported[0] == 0
    assert reported[1] > 0
    assert reported[2] is None


def test_the_watchdog_begins_a_drain_once(runtime):
    begun = []

    def drain():
        begun.append(1)
        runtime.draining.set()

    watchdog = Watchdog(runtime, drain, lambda: 0, memory_mb=lambda: 1e6)
    watchdog.tick()
    watchdog.tick()
    assert begun == [1]
    assert resident_mb() > 1


SAMPLE = Path(__file__).parent / "sample"


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tiny_worker", *arguments],
        env={"PYTHONPATH": str(SAMPLE), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_check_names_what_is_wrong_and_what_to_do(redis_url):
    done = command("check", "--json", **environment_for(redis_url=redis_url))
    report = json.loads(done.stdout)
    found = {
        line["subject"]: line
        for line in report["lines"]
        if line["status"] != "warn" and not line["subject"].startswith("queue ")
    }
    assert done.returncode == 1
    assert report["ok"] is False
    assert {subject: line["status"] for subject, line in found.items()} == {
        "configuration": "ok",
        "broker": "ok",
        "platform redis": "ok",
        "cache redis": "ok",
        "backend": "fail",
        "clock": "skip",  # the backend's; Redis's has a line of its own
    }
    assert "INTERNAL_API_BASE_URL" in found["backend"]["detail"]


def test_the_check_without_redis_fails_in_each_role():
    done = command("check", **environment_for())
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "ok",
        "fail",
        *["skip"] * 3,  # the broker's queues
        "fail",
        "fail",
        "fail",
        "fail",
        *["skip"] * 2,  # the clocks
    ]
    assert "Traceback" not in done.stderr


def test_the_commands_tell_their_version_and_refuse_a_faulty_environment():
    assert command("--version").stdout == "unstract-worker-callback, version 0.0.1\n"
    assert command("check").returncode == 2


def test_recording_doorbells_remember():
    bells = RecordingDoorbells(depths={RunKind.API: 4})
    bells.ring_start("a", task=RunTask.EXECUTION, kind=RunKind.API)
    bells.ring_batches("a", epoch=1, batches=[0, 1], kind=RunKind.API)
    bells.ring_callback("a")
    assert bells.of("batch") == (
        Ring("batch", "a", None, RunKind.API, 1, 0),
        Ring("batch", "a", None, RunKind.API, 1, 1),
    )
    assert [ring.what for ring in bells.rings] == ["start", "batch", "batch", "callback"]
    assert (bells.waiting(RunKind.API), bells.waiting(RunKind.ETL)) == (4, 0)
