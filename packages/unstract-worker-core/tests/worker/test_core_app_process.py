"""Starting, serving and ending a real worker process, by both ways in."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unstract_devstack.processes import wait_until
from unstract_devstack.redis_server import running_redis
from unstract_worker_core.config import LedgerSettings
from unstract_worker_core.ledger import Ledger, RunState, RunTask
from unstract_worker_core.statuses import RunKind

CELERY = ("-m", "celery", "-A", "tiny_worker", "worker", "-Q", "file_processing_callback")


def accept(redis, run_id):
    ledger = Ledger(redis, LedgerSettings())
    ledger.runs.accept(run_id, task=RunTask.EXECUTION, kind=RunKind.ETL, organization_id="org_1", start="{}")
    return ledger


@pytest.mark.parametrize("command", [(), CELERY], ids=["own", "celery"])
def test_serves_its_platform_queue_and_its_doorbells_and_drains_with_exit_zero(command, start_worker, send, ended):
    worker = start_worker(*command)
    send("tiny.note", "file_processing_callback", [[], {"name": "platform"}, {}])
    send("tiny.note", "uw_callback", [[], {"name": "doorbell"}, {}])
    assert ended("platform", "doorbell")
    worker.terminate()
    assert worker.exit_code() == 0


def test_a_running_task_ends_before_the_process_and_nothing_new_starts(start_worker, send, ended, redis):
    worker = start_worker()
    send("tiny.slow", body=[[], {"name": "first"}, {}])
    assert ended("first", key="started")
    worker.terminate()
    assert wait_until(lambda: worker.get("/health/ready")[1]["checks"]["consumer"]["detail"] == "draining", seconds=5)
    assert wait_until(lambda: "draining" in worker.log, seconds=5)
    redis.rpush("go:first", "on")
    assert worker.exit_code() == 0
    send("tiny.note", body=[[], {"name": "late"}, {}])
    assert redis.lrange("ended", 0, -1) == ["first"]
    assert redis.llen("uw_callback") == 1


def test_what_was_fetched_but_not_started_goes_back_to_its_queue(start_worker, send, ended, redis):
    worker = start_worker(CALLBACK_CONCURRENCY="1")
    for name in ("one", "two", "three"):
        send("tiny.slow", body=[[], {"name": name}, {}])
    assert ended("one", key="started")
    worker.terminate()
    redis.rpush("go:one", "on")
    assert worker.exit_code() == 0
    assert redis.lrange("started", 0, -1) == ["one"]
    assert redis.llen("uw_callback") == 2
    assert redis.hlen("uw_unacked") == 0


def test_a_second_signal_hands_leases_back_at_once(start_worker, send, ended, redis):
    ledger = accept(redis, "run-1")
    worker = start_worker()
    send("tiny.leased", body=[[], {"run_id": "run-1"}, {}])
    assert ended("run-1", key="started")
    worker.terminate()
    assert wait_until(lambda: '"draining"' in worker.log, seconds=5)
    worker.terminate()
    assert worker.exit_code(seconds=15) == 0
    claim = ledger.runs.claim("run-1", "next", state=RunState.ACCEPTED)
    assert claim is not None
    assert claim.attempts == 0


def test_the_end_of_the_drain_hands_leases_back(start_worker, send, ended, redis):
    ledger = accept(redis, "run-1")
    worker = start_worker(WORKER_DRAIN_SECONDS="1")
    send("tiny.leased", body=[[], {"run_id": "run-1"}, {}])
    assert ended("run-1", key="started")
    os.kill(worker.process.pid, signal.SIGINT)
    assert worker.exit_code(seconds=15) == 0
    assert ledger.runs.claim("run-1", "next", state=RunState.ACCEPTED) is not None


def test_a_polite_task_steps_aside_when_the_process_drains(start_worker, send, ended, redis):
    accept(redis, "run-1")
    worker = start_worker()
    send("tiny.leased", body=[[], {"run_id": "run-1", "polite": True}, {}])
    assert ended("run-1", key="started")
    worker.terminate()
    assert worker.exit_code(seconds=10) == 0
    assert "stepped aside" in worker.log


def test_prefork_children_serve_drain_and_leave_nobody_behind(start_worker, send, ended, redis):
    ledger = accept(redis, "run-1")
    worker = start_worker(CALLBACK_POOL_TYPE="prefork", CALLBACK_CONCURRENCY="2", WORKER_DRAIN_SECONDS="2")
    send("tiny.where")
    assert wait_until(lambda: redis.llen("pids") == 1, seconds=15)
    child = int(redis.lindex("pids", 0))
    assert child != worker.process.pid
    send("tiny.leased", body=[[], {"run_id": "run-1"}, {}])
    assert ended("run-1", key="started")
    worker.terminate()
    assert worker.exit_code(seconds=20) == 0
    assert wait_until(lambda: not Path(f"/proc/{child}").exists(), seconds=10)
    assert ledger.runs.claim("run-1", "next", state=RunState.ACCEPTED) is not None


def test_a_prefork_child_that_is_killed_is_replaced(start_worker, send, ended, redis):
    start_worker(CALLBACK_POOL_TYPE="prefork", CALLBACK_CONCURRENCY="1")
    send("tiny.where")
    assert wait_until(lambda: redis.llen("pids") == 1, seconds=15)
    os.kill(int(redis.lindex("pids", 0)), signal.SIGKILL)
    send("tiny.note", body=[[], {"name": "after"}, {}])
    assert ended("after")


def test_a_slot_that_never_ends_ends_the_process_and_hands_the_rest_back(start_worker, send, ended, redis):
    accept(redis, "run-1")
    ledger = accept(redis, "run-2")
    worker = start_worker(WORKER_STUCK_SLOT_SECONDS="4")
    send("tiny.leased", body=[[], {"run_id": "run-2", "busy": True}, {}])
    assert ended("run-2", key="started")
    send("tiny.leased", body=[[], {"run_id": "run-1"}, {}])
    assert worker.exit_code(seconds=60) == 1
    assert "a slot is stuck" in worker.log
    assert ledger.runs.claim("run-2", "next", state=RunState.ACCEPTED) is not None
    # What was stuck is left to lapse, which charges it: handed back, it would be stuck for ever.
    assert ledger.runs.claim("run-1", "next", state=RunState.ACCEPTED) is None


def test_too_much_memory_drains_the_process(start_worker, send):
    worker = start_worker(WORKER_MAX_MEMORY_MB="160", WORKER_STUCK_SLOT_SECONDS="4")
    send("tiny.grow")
    assert worker.exit_code(seconds=20) == 0
    assert "memory above its limit" in worker.log


def test_defects_and_refusals_in_a_task_do_not_end_the_worker(start_worker, send, ended, redis):
    worker = start_worker()
    send("tiny.broken")
    send("tiny.broken", body=[[], {"how": "message"}, {}])
    send("tiny.note", body=[[], {"name": "good"}, {}])
    assert ended("good")
    assert wait_until(lambda: redis.llen("uw:dead_letters") == 1, seconds=5)
    letter = json.loads(redis.lindex("uw:dead_letters", 0))
    assert (letter["task"], letter["queue"], letter["reason"]) == ("tiny.broken", "uw_callback", "name: no good")
    assert wait_until(lambda: "task failed unexpectedly" in worker.log, seconds=5)


def test_a_start_message_waits_for_the_ledger_and_is_acknowledged_only_then(start_worker, send, redis, tmp_path):
    with running_redis(tmp_path / "ledger") as ledger:
        worker = start_worker(WORKER_LEDGER_REDIS_URL=ledger.url)
        ledger.kill()
        send("tiny.start", body=[[], {"name": "run-9"}, {}])
        assert wait_until(lambda: "message not written into the ledger yet" in worker.log, seconds=40)
        assert redis.hlen("uw_unacked") == 1
        ledger.start()
        assert wait_until(lambda: ledger.client().hget("uw:{run-9}:meta", "state") == "ACCEPTED", seconds=40)
        assert wait_until(lambda: redis.hlen("uw_unacked") == 0, seconds=5)


def test_a_redis_that_evicts_is_refused_as_ledger(start_worker, redis):
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        worker = start_worker(ready=False)
        assert worker.exit_code() == 2
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
    assert "noeviction" in worker.log


@pytest.mark.parametrize("command", [(), CELERY], ids=["own", "celery"])
def test_all_faults_of_the_configuration_are_listed_and_the_exit_code_is_two(command, start_worker):
    worker = start_worker(*command, ready=False, INTERNAL_API_BASE_URL="nonsense", CALLBACK_HEALTH_PORT="x")
    assert worker.exit_code() == 2
    assert "INTERNAL_API_BASE_URL" in worker.log
    assert "CALLBACK_HEALTH_PORT" in worker.log
    assert "Traceback" not in worker.log


def test_a_port_in_use_is_named(start_worker):
    first = start_worker()
    second = start_worker(ready=False, CALLBACK_HEALTH_PORT=str(first.health_port))
    assert second.exit_code() == 2
    assert "CALLBACK_HEALTH_PORT" in second.log


SAMPLE = Path(__file__).parent / "sample"


def python(code: str) -> str:
    """What Python code prints in a process that has nothing of this one's environment."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SAMPLE)}
    command = (sys.executable, "-c", code)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_packages_reads_no_environment():
    module = "unstract_worker_core.worker.cli"
    assert python(f"import tiny_worker, tiny_worker.tasks, {module} as m; print(m.__name__)") == module


def test_a_worker_does_not_import_what_only_people_use():
    """Commands of operators, the reference of variables and Celery's own command line: no part of `run`."""
    core = "unstract_worker_core"
    unneeded = ["celery.bin", f"{core}.config.reference", f"{core}.operator", f"{core}.worker.command_line"]
    imports = f"import sys, tiny_worker.tasks, {core}.worker.cli, {core}.worker.process"
    assert python(f"{imports}; print(*[name for name in {unneeded} if name in sys.modules])") == ""
