"""Crash points: every operation has its own, they kill where they say, and nothing kills outside of tests."""

import signal

import pytest

from unstract_devstack.processes import wait_until
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.operations import Operation, Repeat
from unstract_worker_core.config import Settings, load_settings
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.failpoints import points
from unstract_worker_core.ledger.store import STEP_NAMES
from unstract_worker_core.queues import Doorbell
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import environment_for

NAMES = [point.name for point in points()]
ARMED = {"WORKER_CRASH_POINT": "task.begun", "WORKER_CRASH_TESTING": "true"}


def settings_with(**variables: str) -> Settings:
    return load_settings(environment_for(**variables), worker=WorkerType.CALLBACK)


def test_every_step_effect_and_doorbell_has_a_point_before_and_after_it():
    effects = [each for each in vars(operations).values() if isinstance(each, Operation)]
    wanted = {f"ledger.{step}" for step in STEP_NAMES}
    wanted |= {f"backend.{each.name}" for each in effects if each.repeat is not Repeat.READ}
    wanted |= {f"doorbell.{bell.value}" for bell in Doorbell}
    for stem in wanted:
        assert {f"{stem}.before", f"{stem}.after"} <= set(NAMES)
    assert len(NAMES) == len(set(NAMES))
    assert all(point.description for point in points())


@pytest.mark.parametrize(
    ("variables", "armed"), [({}, False), ({"WORKER_CRASH_TESTING": "true"}, True)], ids=["alone", "in a test"]
)
def test_the_variable_alone_arms_nothing_and_is_told(variables, armed):
    settings = settings_with(WORKER_CRASH_POINT="ledger.arm.after:3:group", **variables)
    assert (settings.crash_point is not None) == armed
    assert any("WORKER_CRASH_POINT" in warning for warning in settings.warnings)
    if settings.crash_point is not None:
        point = settings.crash_point
        assert (point.name, point.nth, point.group) == ("ledger.arm.after", 3, True)


@pytest.mark.parametrize("text", ["a:0", "a:100", "a:group:1", "A b", "a::2", ":2"])
def test_a_point_that_cannot_be_read_is_refused(text):
    with pytest.raises(ConfigurationError, match="WORKER_CRASH_POINT"):
        settings_with(WORKER_CRASH_POINT=text)


def test_outside_of_a_test_a_worker_lives_on(start_worker, send, ended):
    worker = start_worker(WORKER_CRASH_POINT="task.begun")
    send("tiny.note", body=[[], {"name": "a"}, {}])
    assert ended("a")
    assert worker.process.running
    assert "WORKER_CRASH_POINT has no effect" in worker.log


def test_a_worker_dies_at_its_point_before_anything_is_done(start_worker, send, redis):
    worker = start_worker(**ARMED)
    send("tiny.note", body=[[], {"name": "a"}, {}])
    assert worker.exit_code() == -signal.SIGKILL
    assert "crash point task.begun reached" in worker.log
    assert redis.lrange("ended", 0, -1) == []


def test_a_worker_dies_the_nth_time_only(start_worker, send, redis, ended):
    worker = start_worker(**ARMED | {"WORKER_CRASH_POINT": "task.ended:2"})
    send("tiny.note", body=[[], {"name": "a"}, {}])
    assert ended("a")
    assert worker.process.running
    send("tiny.note", body=[[], {"name": "b"}, {}])
    assert worker.exit_code() == -signal.SIGKILL
    assert redis.lrange("ended", 0, -1) == ["a", "b"]


def test_a_prefork_child_dies_once_and_its_parent_serves_on(start_worker, send, ended):
    worker = start_worker(**ARMED, CALLBACK_POOL_TYPE="prefork", CALLBACK_CONCURRENCY="1")
    send("tiny.note", body=[[], {"name": "lost"}, {}])
    assert wait_until(lambda: "crash point task.begun reached" in worker.log, seconds=15)
    send("tiny.note", body=[[], {"name": "next"}, {}])
    assert ended("next", seconds=30)
    assert worker.process.running


def test_a_prefork_group_dies_as_a_whole(start_worker, send):
    worker = start_worker(
        **ARMED | {"WORKER_CRASH_POINT": "task.begun:group"}, CALLBACK_POOL_TYPE="prefork", CALLBACK_CONCURRENCY="1"
    )
    send("tiny.note", body=[[], {"name": "a"}, {}])
    assert worker.exit_code() == -signal.SIGKILL


def test_a_point_that_is_not_there_keeps_the_worker_from_starting(start_worker):
    worker = start_worker(ready=False, **ARMED | {"WORKER_CRASH_POINT": "task.middle"})
    assert worker.exit_code() == 2
    assert "WORKER_CRASH_POINT" in worker.log
