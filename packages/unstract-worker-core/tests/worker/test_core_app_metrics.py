"""What a real worker process shows at /metrics, with threads and with prefork."""

import os
import signal
import urllib.request
from pathlib import Path

import pytest
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families

from unstract_devstack.processes import wait_until
from unstract_worker_core.config import LedgerSettings
from unstract_worker_core.fleet import Fleet
from unstract_worker_core.ledger import DeadLetter, Ledger, RunTask
from unstract_worker_core.ledger.store import take_census, take_role
from unstract_worker_core.statuses import RunKind

QUEUE = {"queue_name": "uw_callback"}
NOTE = {"name": "tiny.note", "hostname": "test", **QUEUE}


def scrape(worker) -> dict[tuple[str, frozenset], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.health_port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for one in families for sample in one.samples}


def value(worker, metric: str, /, **labels: str) -> float | None:
    return scrape(worker).get((metric, frozenset(labels.items())))


def becomes(worker, wanted: float | None, metric: str, /, **labels: str) -> bool:
    return wait_until(lambda: value(worker, metric, **labels) == wanted, seconds=30)


@pytest.fixture(params=["threads", "prefork"])
def pool(request, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "shared").mkdir()
    return {
        "CALLBACK_POOL_TYPE": request.param,
        "CALLBACK_CONCURRENCY": "2",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared"),
    }


def test_tasks_are_counted_as_celery_exporter_counts_them(pool, start_worker, send, ended, redis):
    worker = start_worker(**pool)
    for name in ("one", "two", "three"):
        send("tiny.note", body=[[], {"name": name}, {}])
    send("tiny.broken", body=[[], {}, {}])
    send("tiny.broken", body=[[], {"how": "message"}, {}])
    assert ended("one", "two", "three")

    for state in ("received", "started", "succeeded"):
        assert becomes(worker, 3, f"celery_task_{state}_total", **NOTE), state
    broken = NOTE | {"name": "tiny.broken"}
    assert becomes(worker, 1, "celery_task_failed_total", exception="RuntimeError", **broken)
    assert becomes(worker, 1, "celery_task_rejected_total", **broken)
    assert value(worker, "celery_task_failed_total", exception="", **NOTE) == 0
    assert value(worker, "celery_task_runtime_count", **NOTE) == 3
    assert value(worker, "unstract_worker_tasks_total", name="tiny.note", outcome="ok") == 3
    assert value(worker, "unstract_worker_dead_letters_total", kind="task") == 1
    assert value(worker, "celery_worker_up", hostname="test") == 1
    assert value(worker, "celery_active_worker_count", **QUEUE) == 1


def test_what_was_received_has_ended_in_one_way_or_another(pool, start_worker, send, ended, redis):
    """Tasks of Celery's own too, which by themselves do nothing and are counted nowhere."""
    worker = start_worker(**pool)
    for name in ("celery.backend_cleanup", "celery.chord_unlock", "celery.group", "celery.chord", "celery.chain"):
        send(name, body=[["an argument"], {}, {}])
    send("celery.ping", body=[[], {}, {}])
    send("tiny.note", body=[[], {"name": "one"}, {}], headers={"expires": "2020-01-01T00:00:00+00:00"})
    send("tiny.broken", body=[[], {}, {}])
    send("tiny.note", body=[[], {"name": "last"}, {}])
    assert ended("last")

    def total(state: str) -> float:
        names = f"celery_task_{state}_total"
        return sum(value for (name, _), value in scrape(worker).items() if name == names)

    def balanced() -> bool:
        ends = sum(total(state) for state in ("succeeded", "failed", "retried", "rejected"))
        return total("received") == ends == 8

    assert wait_until(balanced, seconds=30), worker.metrics()
    letters = Ledger(redis, LedgerSettings()).dead_letters.newest()
    assert {letter.task for letter in letters} >= {"celery.backend_cleanup", "celery.chord_unlock", "celery.ping"}
    assert sum("a task of Celery's own" in letter.reason for letter in letters) == 5


def test_slots_and_leases_that_are_in_use_show_and_end(pool, start_worker, send, ended, redis):
    ledger = Ledger(redis, LedgerSettings())
    ledger.runs.accept("run-1", task=RunTask.EXECUTION, kind=RunKind.ETL, organization_id="org_1", start="{}")
    worker = start_worker(**pool)
    send("tiny.slow", body=[[], {"name": "a"}, {}])
    send("tiny.leased", body=[[], {"run_id": "run-1", "polite": True}, {}])
    assert ended("a", "run-1", key="started")

    assert becomes(worker, 2, "unstract_worker_slots_in_use")
    assert value(worker, "celery_worker_tasks_active", hostname="test") == 2
    assert becomes(worker, 1, "unstract_worker_leases_held")
    redis.rpush("go:a", "on")
    assert ended("a")
    assert becomes(worker, 1, "unstract_worker_slots_in_use")


def test_a_queue_is_told_by_one_worker_and_by_another_once_that_is_gone(start_worker, send, ended, redis):
    first = start_worker(CALLBACK_CONCURRENCY="1")
    send("tiny.slow", body=[[], {"name": "a"}, {}])
    assert ended("a", key="started")
    assert becomes(first, 0, "celery_queue_length", **QUEUE)
    second = start_worker(CALLBACK_CONCURRENCY="1")
    send("tiny.slow", body=[[], {"name": "b"}, {}])
    assert ended("b", key="started")
    for name in ("c", "d", "e"):
        send("tiny.note", body=[[], {"name": name}, {}])

    reported = [value(worker, "celery_queue_length", **QUEUE) for worker in (first, second)]
    assert sum(one is not None for one in reported) <= 1
    assert wait_until(lambda: (value(first, "celery_queue_length", **QUEUE) or 0) > 0, seconds=30)
    assert value(second, "celery_queue_length", **QUEUE) is None
    first.process.kill()
    assert wait_until(lambda: value(second, "celery_queue_length", **QUEUE) is not None, seconds=40)


def heartbeat_of(redis, worker):
    found = [each.heartbeat for each in Fleet(redis).members() if each.heartbeat.pid == worker.process.pid]
    assert found, "it has written no heartbeat"
    return found[0]


def began(beat):
    return beat.at - beat.up_seconds


def test_a_worker_that_was_killed_reads_0_and_its_queues_are_reported_by_another(start_worker, redis):
    """What CeleryWorkerDown and CeleryHighQueueLength fire on when all workers of a type are dead."""
    one = {"CELERY_HOSTNAME": "callback@one", "CELERY_QUEUES_CALLBACK": "of_one"}
    first = start_worker(**one)
    second = start_worker(CELERY_HOSTNAME="callback@two", CELERY_QUEUES_CALLBACK="of_two")
    twin = start_worker(CELERY_HOSTNAME="callback@two", CELERY_QUEUES_CALLBACK="of_two")  # a second node of its host
    assert wait_until(lambda: "of_one" in Fleet(redis).queues(), seconds=20)
    (member, *_) = Fleet(redis).members()
    neighbour = evolve(member.heartbeat, worker="general", hostname="two")  # its one and only heartbeat
    Fleet(redis).beat("neighbour", neighbour)
    # One that began after the last heartbeat of the other would count as started in its place.
    assert wait_until(lambda: began(heartbeat_of(redis, second)) < heartbeat_of(redis, twin).at, seconds=20)
    assert [value(worker, "celery_worker_up", hostname="two") for worker in (second, twin)] == [1, 1]
    twin.process.kill()
    first.process.kill()
    redis.lpush("of_one", "a message", "another")

    assert wait_until(lambda: value(second, "celery_worker_up", hostname="one") == 0, seconds=60)
    assert wait_until(lambda: value(second, "celery_queue_length", queue_name="of_one") == 2, seconds=60)
    assert value(second, "celery_worker_up", hostname="two") == 1
    assert wait_until(lambda: value(second, "celery_worker_up", hostname="general@two") == 0, seconds=60)
    name = f"callback@two:{twin.process.pid}"
    assert wait_until(lambda: value(second, "celery_worker_up", hostname=name) == 0, seconds=60)

    third = start_worker(**one)
    assert wait_until(lambda: value(second, "celery_worker_up", hostname="one") is None, seconds=60)
    third.terminate()
    assert third.exit_code() == 0
    assert "of_one" in Fleet(redis).queues()
    assert [member.heartbeat.hostname for member in Fleet(redis).members() if member.alive] == ["two"]


def test_metrics_answer_while_broker_and_ledger_are_frozen(start_worker, redis_server):
    worker = start_worker()
    assert becomes(worker, 0, "celery_queue_length", **QUEUE)
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        assert becomes(worker, None, "celery_queue_length", **QUEUE)  # left out, not shown old
        assert value(worker, "celery_worker_up", hostname="test") == 1
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    assert becomes(worker, 0, "celery_queue_length", **QUEUE)


def test_children_that_end_are_kept_in_the_sums_and_leave_no_files(start_worker, send, ended, redis, tmp_path):
    (tmp_path / "shared").mkdir()
    worker = start_worker(
        CALLBACK_POOL_TYPE="prefork", CALLBACK_CONCURRENCY="1", PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "shared"),
    )  # fmt: skip
    send("tiny.where", body=[[], {}, {}])
    assert wait_until(lambda: redis.llen("pids") == 1, seconds=15)
    first = int(redis.lindex("pids", 0))
    send("tiny.slow", body=[[], {"name": "a"}, {}])
    assert ended("a", key="started")
    assert becomes(worker, 1, "unstract_worker_slots_in_use")

    os.kill(first, signal.SIGKILL)

    assert becomes(worker, 0, "unstract_worker_slots_in_use")
    for name in ("b", "c"):
        send("tiny.note", body=[[], {"name": name}, {}])
    assert ended("b", "c")
    where = NOTE | {"name": "tiny.where"}
    assert becomes(worker, 2, "celery_task_succeeded_total", **NOTE)
    assert value(worker, "celery_task_succeeded_total", **where) == 1
    assert value(worker, "celery_task_runtime_count", **where) == 1
    (folder,) = (tmp_path / "shared").iterdir()
    assert not list(folder.glob(f"*_{first}.db"))
    worker.terminate()
    assert worker.exit_code() == 0
    assert not folder.exists()


def test_a_folder_that_cannot_be_had_is_told_at_the_start(start_worker, tmp_path):
    worker = start_worker(ready=False, CALLBACK_POOL_TYPE="prefork", PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "nowhere"))
    assert worker.exit_code() == 2
    assert "PROMETHEUS_MULTIPROC_DIR" in worker.log


def test_the_census_counts_what_is_open(redis):
    ledger = Ledger(redis, LedgerSettings())
    for number in range(1200):
        task = RunTask.WEBHOOK if number % 2 else RunTask.EXECUTION
        ledger.runs.accept(f"run-{number}", task=task, kind=RunKind.ETL, organization_id="org_1", start="{}")
    ledger.dead_letters.add(DeadLetter("t", "q", "why"))
    redis.hset("uw:{run-0}:meta", "progress", "1000")
    redis.zadd("uw:due", {"run-1": 1000})

    census = take_census(redis)

    assert census.runs == {("execution", "ACCEPTED"): 600, ("webhook", "ACCEPTED"): 600}
    assert census.dead_letters == 1
    assert census.idle["execution"] > 1e9
    assert census.idle["webhook"] < 3600
    assert census.due > 1e9


def test_the_census_is_bounded(redis, monkeypatch):
    monkeypatch.setattr("unstract_worker_core.ledger.store._MOST", 500)
    ledger = Ledger(redis, LedgerSettings())
    for number in range(2000):
        ledger.runs.accept(
            f"run-{number}", task=RunTask.EXECUTION, kind=RunKind.ETL, organization_id="org_1", start="{}"
        )
    counts = take_census(redis).runs
    assert sum(counts.values()) == 2000
    assert counts["unread", "unread"] > 500


def test_a_role_has_one_holder_at_a_time(redis):
    assert take_role(redis, "r", "one", 60)
    assert take_role(redis, "r", "one", 60)
    assert not take_role(redis, "r", "two", 60)
    redis.delete("uw:role:r")
    assert take_role(redis, "r", "two", 60)
    assert 50_000 < redis.pttl("uw:role:r") <= 60_000
