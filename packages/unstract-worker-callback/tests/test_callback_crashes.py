"""A worker that dies after any call, and the one that takes its run up: nothing is lost, nothing is written twice."""

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from attrs import define

from unstract_worker_core.backend.executions import Executions
from unstract_worker_core.backend.pipelines import Notifications, Pipelines
from unstract_worker_core.errors import LeaseLost
from unstract_worker_core.ledger import Ledger, RunState
from unstract_worker_core.redis import connect
from unstract_worker_core.statuses import ExecutionStatus, RunKind


class Killed(BaseException):
    """The process is gone: nothing of it handles this."""


@define
class Fate:
    """Lets so many calls to the backend and to the ledger be answered, then kills."""

    left: int
    last: str = ""

    def answered(self, what: str) -> None:
        self.last = what
        self.left -= 1
        if self.left == 0:
            raise Killed(what)


def mortal(rig, fate):
    """The runtime as it is in a process that dies when fate says so. Returns what undoes it."""
    runtime, backend = rig.runtime, rig.runtime.backend
    caller, ledger = backend._call, runtime.ledger

    def call(operation, *args, **kwargs):
        answer = caller(operation, *args, **kwargs)
        fate.answered(operation.name)
        return answer

    def use(caller, ledger):
        backend.executions, backend.pipelines = Executions(caller), Pipelines(caller)
        backend.notifications, runtime.ledger = Notifications(caller), ledger

    own = connect(runtime.settings.ledger_redis, name="mortal")
    use(call, Ledger(own, runtime.settings.ledger, lambda step, outcome: fate.answered(step)))

    def undo():
        own.close()
        use(caller, ledger)

    return undo


def die_after(rig, prepared, calls):
    """Finalise in a worker that dies after so many calls; the last of them, or None if it came through."""
    fate = Fate(calls)
    undo = mortal(rig, fate)
    try:
        rig.finalise(prepared)
    except Killed as killed:
        return str(killed)
    finally:
        undo()
    return None


def one_of(rig, kind):
    prepared = rig.prepare(kind)
    targets = {rig.subscribe(prepared), rig.subscribe(prepared, platform="SLACK")}
    rig.arm(prepared, [rig.ok(1), rig.bad(2), rig.ok(3, copies=("again.txt",))])
    return prepared, targets


@pytest.mark.parametrize("kind", RunKind)
def test_a_worker_may_die_after_any_call(either_rig, kind):
    rig, points, doubled = either_rig, [], Counter()
    while True:
        prepared, targets = one_of(rig, kind)
        point = die_after(rig, prepared, len(points) + 1)
        if point is None:
            break
        points.append(point)
        rig.lapse(prepared.id)
        if point != "finish":
            assert rig.finalise(prepared), point

        assert rig.state(prepared.id) is RunState.DONE, point
        assert rig.shown(prepared) == ("COMPLETED", 4, 3, 1), point
        assert len(rig.ends(prepared)) == 1, point
        notified = Counter(rig.notified(prepared))
        assert set(notified) == targets, point
        doubled[point] += notified.total() - 2
        if kind is RunKind.API:
            assert len(rig.results(prepared)) == 4, point
            assert rig.pipeline_writes(prepared) == [], point
        else:
            writes = rig.pipeline_writes(prepared)
            doubled["pipeline"] += len(writes) - 1
            assert set(writes) == {"SUCCESS"}, point

    # Death between an answer and our note of it repeats that one event where the backend keeps no keys; nothing else.
    assert +doubled == (Counter() if rig.keyed else windows(kind))
    assert {"claim_run", "workflow-execution.update_status", "webhook.enqueue", "journal", "finish"} <= set(points)


def windows(kind):
    return Counter({"webhook.enqueue": 2}) + (Counter(pipeline=1) if kind is RunKind.ETL else Counter())


def test_a_worker_that_dies_again_and_again_still_has_written_one_end(rig):
    prepared, targets = one_of(rig, RunKind.API)
    for calls in (9, 8, 7):  # each time after the status is there
        assert die_after(rig, prepared, calls)
        rig.lapse(prepared.id)

    rig.finalise(prepared)

    assert len(rig.ends(prepared)) == 1
    assert rig.shown(prepared)[0] == "COMPLETED"
    assert set(rig.notified(prepared)) == targets


def test_a_worker_that_dies_each_time_before_the_status_makes_it_an_error(rig):
    prepared, _ = one_of(rig, RunKind.API)
    for _ in range(5):
        assert die_after(rig, prepared, 2)
        rig.lapse(prepared.id)

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("ERROR", 4, 3, 1)
    assert rig.seen(prepared)["error_message"] == "finalising failed 5 times: its worker died"
    assert len(rig.results(prepared)) == 4


@define
class Paused(Fate):
    """Pauses after so many calls for longer than the lease, while another owner finishes the run."""

    rig: Any = None
    prepared: Any = None
    undo: Any = None
    end: Any = None

    def answered(self, what):
        self.left -= 1
        if self.left:
            return
        self.last, rig = what, self.rig
        (held,) = rig.runtime.keeper.held()
        held._good_until = 0.0  # by the local clock the lease is over
        rig.lapse(self.prepared.id)
        self.undo()
        rig.finalise(self.prepared)
        self.end = done(rig, self.prepared)
        assert len(self.end[0]) == 1
        rig.platform.delete(rig.list_key(self.prepared))  # the caller has read it


def done(rig, prepared):
    return rig.ends(prepared), rig.notified(prepared), rig.pipeline_writes(prepared)


@pytest.mark.parametrize("kind", RunKind)
def test_an_owner_that_lost_its_lease_writes_nothing_more(rig, kind):
    points = []
    while True:
        prepared, _ = one_of(rig, kind)
        fate = Paused(len(points) + 2, rig=rig, prepared=prepared)  # the first call is the claim itself
        fate.undo = mortal(rig, fate)
        with suppress(LeaseLost):
            rig.finalise(prepared)
        fate.undo()
        if fate.end is None:
            break
        points.append(fate.last)

        assert done(rig, prepared) == fate.end, fate.last
        assert rig.results(prepared) == [], fate.last
        assert rig.state(prepared.id) is RunState.DONE
        assert rig.shown(prepared)[0] == ExecutionStatus.COMPLETED
    assert {"outcomes", "workflow-execution.update_status", "webhook.enqueue"} <= set(points)
