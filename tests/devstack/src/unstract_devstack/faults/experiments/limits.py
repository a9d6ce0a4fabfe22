"""R20: files that take longer than they may, in threads and in processes."""

import time
from pathlib import Path

from unstract_devstack.faults.checker import Sent
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.registry import KEYED, Trial, experiment
from unstract_devstack.fleet import FILE_PROCESSING, HEALTH_HOST, Fleet, Worker, running_fleet
from unstract_devstack.http_calls import CallFailed, call

# An executor as an operator may plug one in: what it does to a file is in the file's name.
EXECUTOR = """\
import time

from unstract_worker_file_processing.executor import BackendExecutor


class Overlong:
    def __init__(self, runtime):
        self._plain = BackendExecutor(runtime.backend)

    def execute(self, request, *, timeout_seconds):
        name = request.file.name
        while name.startswith("deaf"):
            try:
                time.sleep(3600)
            except Exception:
                pass
        if name.startswith("busy"):
            sum(range(10**14))  # one call into C: the interpreter never gets its turn
        return self._plain.execute(request, timeout_seconds=timeout_seconds)
"""
ENTRY_POINT = "[unstract_worker.file_executors]\noverlong = overlong:Overlong\n"
METADATA = "Metadata-Version: 2.1\nName: overlong\nVersion: 1\n"
LIMITS = {"FILE_EXECUTION_TIMEOUT": "3", "WORKER_STUCK_SLOT_SECONDS": "6", "WORKER_FILE_EXECUTOR": "overlong"}
POOLS = {"threads": {}, "prefork": {"CELERY_POOL_TYPE": "prefork", "CELERY_CONCURRENCY": "3"}}
UNANSWERED_SECONDS = 8.0
"""What a supervisor waits for an answer, a start among it."""


@experiment("R20", modes=(KEYED,), alone=True)
def overlong(trial: Trial) -> None:
    """A file that sleeps beyond its time, one that nothing wakes, one busy in C: ERROR with the reason, the rest is done.

    In a pool of threads and in one of processes. The harness is the supervisor: it starts a worker that ended, and
    kills one whose liveness no longer answers.
    """
    arena = trial.arena
    for pool, settings in POOLS.items():
        folder = arena.directory / f"overlong-{pool}"
        path = _plugged_in(folder)
        environment = {**arena.environment, **LIMITS, **settings, "PYTHONPATH": path}
        for worker in arena.workers(FILE_PROCESSING):
            worker.kill()
        with running_fleet(environment, folder, kinds=(FILE_PROCESSING, FILE_PROCESSING)) as fleet:
            tenant = new_tenant(arena)
            arena.trace.fault("overlong_files", f"asleep, deaf, busy in {pool}")
            arena.fault("delay", "/execute-file/", delay=30, count=1)
            asleep = _sent(tenant, "asleep", 0)
            aiming.until(lambda asleep=asleep: aiming.ended(arena, asleep), "the sleeper ends", seconds=60)  # type: ignore[misc]
            others = [_sent(tenant, kind, 3) for kind in ("deaf", "busy")]
            _supervise(trial, fleet, others)
            trial.settle(asleep, *others)
            for sent in (asleep, *others):
                _judge(trial, sent, pool)
    arena.heal()


def _plugged_in(folder: Path) -> str:
    path = aiming.python_path(folder, overlong=EXECUTOR)
    about = folder / "overlong-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(METADATA, encoding="utf-8")
    (about / "entry_points.txt").write_text(ENTRY_POINT, encoding="utf-8")
    return path


def _sent(tenant: Tenant, kind: str, good: int) -> Sent:
    doomed = f"{kind}-{tenant.names('x', 1)[0]}"
    names = (doomed, *tenant.names("t", good))
    return tenant.send(names, doomed=(doomed,), status="COMPLETED" if good else "ERROR")


def _judge(trial: Trial, sent: Sent, pool: str) -> None:
    for name, file in trial.arena.history.files(sent.execution_id).items():
        wanted = "ERROR" if name in sent.doomed else "COMPLETED"
        trial.check(file.status == wanted, f"{pool}: {name} shows {file.status}", sent.execution_id)
        trial.check(name not in sent.doomed or bool(file.error), f"{pool}: {name} has no reason", sent.execution_id)


def _supervise(trial: Trial, fleet: Fleet, sent: list[Sent]) -> None:
    """Restarts what ended or has not answered for a while, until these executions have ended."""
    heard = dict.fromkeys(fleet.workers, time.monotonic())
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and not all(aiming.ended(trial.arena, each) for each in sent):
        for name, worker in fleet.workers.items():
            if worker.running and _alive(worker):
                heard[name] = time.monotonic()
            elif not worker.running or time.monotonic() - heard[name] > UNANSWERED_SECONDS:
                trial.arena.trace.note(f"{name} is restarted, exit code {worker.process.exit_code}")
                worker.kill()
                worker.start()
                heard[name] = time.monotonic()
        aiming.pause(0.2)


def _alive(worker: Worker) -> bool:
    try:
        return call("GET", f"http://{HEALTH_HOST}:{worker.health_port}/health/live", timeout=1.0).status == 200
    except CallFailed:
        return False
