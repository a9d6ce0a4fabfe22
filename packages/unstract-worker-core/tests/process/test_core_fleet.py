"""Heartbeats of the fleet, and why a run waits, as operators read it."""

import pytest
from redis import Redis

from unstract_worker_core.fleet import Fleet, FleetMember, Heartbeat, missing
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.ledger.views import PendingAnswer, RunView
from unstract_worker_core.operator.runs_showing import _journal_entries, why_it_waits
from unstract_worker_core.statuses import RunKind


def heartbeat(worker: str = "callback", instance: str = "one", **changes) -> Heartbeat:
    given = {
        "instance": instance, "worker": worker, "version": "1", "core_version": "1", "hostname": instance, "pid": 7,
        "slots": 2, "running": 0, "idle_seconds": 1.5, "backend": "closed", "queues": ("q",),
    }  # fmt: skip
    return Heartbeat(**{**given, **changes})


def age(redis: Redis, token: str, seconds: float) -> None:
    """Make the last heartbeat of a worker this much older."""
    text = redis.hget("uw:fleet", token)
    found = next(member for member in Fleet(redis).members() if f'"instance":"{member.heartbeat.instance}"' in text)
    redis.hset("uw:fleet", token, text.replace(str(found.heartbeat.at), str(found.heartbeat.at - seconds)))


def test_a_worker_is_alive_then_vanished_then_forgotten(redis: Redis) -> None:
    fleet = Fleet(redis)
    fleet.beat("a", heartbeat(instance="one"))
    fleet.beat("b", heartbeat(instance="two", queues=("r",)))
    assert [(member.heartbeat.instance, member.alive) for member in fleet.members()] == [("one", True), ("two", True)]
    age(redis, "a", 16)
    assert [member.alive for member in fleet.members()] == [False, True]
    age(redis, "a", 300)
    fleet.beat("b", heartbeat(instance="two"))
    assert [member.heartbeat.instance for member in fleet.members()] == ["two"]
    assert set(fleet.queues()) == {"q", "r"}  # for the alert that a queue grows although its workers are gone


def test_a_heartbeat_from_before_the_clock_was_set_back_does_not_live_for_ever(redis: Redis) -> None:
    fleet = Fleet(redis)
    fleet.beat("a", heartbeat(instance="one"))
    age(redis, "a", -20)
    assert [member.alive for member in fleet.members()] == [False]
    age(redis, "a", -300)
    fleet.beat("b", heartbeat(instance="two"))
    assert [member.heartbeat.instance for member in fleet.members()] == ["two"]


def test_a_worker_that_ends_by_itself_leaves(redis: Redis) -> None:
    fleet = Fleet(redis)
    fleet.beat("a", heartbeat())
    fleet.leave("a")
    fleet.leave("a")
    assert fleet.members() == ()


def member(pid: int, *, at: float, up_seconds: float, now: float = 1000.0, **changes) -> FleetMember:
    return FleetMember(heartbeat(pid=pid, at=at, up_seconds=up_seconds, **changes), now - at)


LIVING = member(2, at=1000, up_seconds=900)


@pytest.mark.parametrize(
    ("members", "pids"),
    [
        ((LIVING,), ()),
        ((member(1, at=950, up_seconds=800), LIVING), (1,)),  # one of two nodes on a host
        ((member(1, at=950, up_seconds=800), member(3, at=1000, up_seconds=40), LIVING), ()),  # and its successor
        ((member(1, at=900, up_seconds=9), member(2, at=950, up_seconds=40), member(3, at=998, up_seconds=30)), ()),
        ((member(1, at=900, up_seconds=9), member(2, at=950, up_seconds=40)), (2,)),  # the last of a crash loop
        ((member(1, at=900, up_seconds=9), member(2, at=905, up_seconds=9), member(3, at=1000, up_seconds=1)), (1,)),
        ((member(1, at=950, up_seconds=9), member(2, at=1000, up_seconds=1, worker="general")), (1,)),
        ((member(1, at=950, up_seconds=9), member(2, at=1000, up_seconds=1, hostname="other")), (1,)),
        ((member(1, at=950, up_seconds=0), member(2, at=1000, up_seconds=0)), ()),  # of a release that does not say it
    ],
)
def test_a_vanished_worker_is_missing_until_one_starts_in_its_place(members, pids) -> None:
    assert tuple(beat.pid for beat in missing(members)) == pids


def test_a_heartbeat_of_a_newer_release_is_left_out(redis: Redis) -> None:
    fleet = Fleet(redis)
    fleet.beat("a", heartbeat())
    redis.hset("uw:fleet", "b", '{"instance": 3}')
    assert [member.heartbeat.instance for member in fleet.members()] == ["one"]


def run(state: RunState = RunState.ACCEPTED, **changes) -> RunView:
    given = {
        "run_id": "run-1", "state": state, "task": RunTask.EXECUTION, "kind": RunKind.API, "organization_id": "org",
        "batches": 1, "done": 0, "attempts": 0, "owners": (), "age": 1.0, "idle": 1.0, "next_look": None,
        "stop": False,
    }  # fmt: skip
    return RunView(**{**given, **changes})


PENDING = (PendingAnswer(3, published=True, age=90, left=3510), PendingAnswer(1, published=False, age=2, left=298))
ALIVE = FleetMember(heartbeat("api_deployment"), 1.0)


@pytest.mark.parametrize(
    ("view", "members", "reason"),
    [
        (run(), (), "no api-deployment worker is alive"),
        (run(), (FleetMember(heartbeat("api_deployment"), 60.0),), "no api-deployment worker is alive"),
        (run(kind=RunKind.ETL), (ALIVE,), "no general worker is alive"),
        (run(task=RunTask.WEBHOOK), (ALIVE,), "no general worker is alive"),
        (run(RunState.ARMED), (ALIVE,), "no file-processing worker is alive"),
        (run(RunState.READY), (ALIVE,), "no callback worker is alive"),
        (run(owners=("x:1",)), (), "working"),
        (run(last_error="no answer"), (ALIVE,), "put off: no answer"),
        (
            run(RunState.ARMED, answers_pending=PENDING, last_error="an old one"),
            (FleetMember(heartbeat("file_processing"), 1.0),),
            "file 3 waits for the executor's answer, for 1.5 min so far; so do 1 more",
        ),
        (run(RunState.ARMED, answers_pending=PENDING), (), "no file-processing worker is alive"),
        (run(), (FleetMember(heartbeat("api_deployment", backend="open"), 1.0),), "the backend does not answer"),
        (run(), (FleetMember(heartbeat("api_deployment", running=2), 1.0),), "all 2 slots of 1 api-deployment"),
        (run(), (ALIVE,), "its doorbell is on the way"),
        (
            run(owners=("x:1",)),
            (FleetMember(heartbeat(silent_calls=("execute-file of run-1 silent for 90 s",)), 1.0),),
            "execute-file of run-1 silent for 90 s",
        ),
        (run(RunState.DONE), (), ""),
    ],
)
def test_why_a_run_waits(view: RunView, members: tuple[FleetMember, ...], reason: str) -> None:
    assert why_it_waits(view, members).startswith(reason)


def test_the_rows_of_a_large_run_are_counted_in_its_journal():
    few = ("files", "pending", "row:1", "row:2")
    assert _journal_entries(few) == list(few)
    many = ("files", *(f"row:{number}" for number in range(1200)))
    assert _journal_entries(many) == ["files", "row: of 1200 files"]
