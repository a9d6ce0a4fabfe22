"""R17, R18, R20, R23, R33, R34: workers that end, are stuck, have wrong clocks, are of another release."""

import time
from pathlib import Path

from unstract_devstack.faults import aiming
from unstract_devstack.faults.aftermath import recovery_times
from unstract_devstack.faults.checker import AS_REAL, Sent
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.trial import Ground, Trial, experiment
from unstract_devstack.fleet import FILE_PROCESSING, HEALTH_HOST, Fleet, Worker, running_fleet
from unstract_devstack.http_calls import CallFailed, call
from unstract_devstack.processes import wait_until

GRACE_SECONDS = 8.0 + 10.0
"""What the workers are given to drain (WORKER_DRAIN_SECONDS), and to hand back after it."""

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
DISTRIBUTION = {
    "METADATA": "Metadata-Version: 2.1\nName: overlong\nVersion: 1\n",
    "entry_points.txt": "[unstract_worker.file_executors]\noverlong = overlong:Overlong\n",
}
LIMITS = {"FILE_EXECUTION_TIMEOUT": "3", "WORKER_STUCK_SLOT_SECONDS": "6", "WORKER_FILE_EXECUTOR": "overlong"}
POOLS = {"threads": {}, "prefork": {"CELERY_POOL_TYPE": "prefork", "CELERY_CONCURRENCY": "3"}}
UNANSWERED_SECONDS = 8.0
"""What a supervisor waits for an answer, a start among it."""

# Loaded by the interpreter of each such worker: its clock is as many seconds off as the file says, from then on.
MOVED_CLOCK = """\
import os
import sys
import threading
import time

import time_machine

_pause = threading.Event()
_clock = time_machine.travel(time.time(), tick=True).start()


def _follow(path):
    off = 0.0
    while not _pause.wait(0.1):
        try:
            wanted = float(open(path).read())
        except (OSError, ValueError):
            continue
        if wanted != off:
            _clock.shift(wanted - off)
            off = wanted
            print(f"clock moved: now {wanted:+.0f} s off", file=sys.stderr, flush=True)


threading.Thread(target=_follow, args=(os.environ["HARNESS_CLOCK"],), daemon=True).start()
"""
JUMPS = (3600.0, -3600.0, 0.0)

# Loaded by the interpreter of each worker of the later release: all that it writes has one more field.
LATER_RELEASE = """\
from unstract_worker_core import serialization

_plain = serialization.unstructure


def _with_more(value):
    plain = _plain(value)
    return {**plain, "of_a_later_release": {"list": [1, None]}} if isinstance(plain, dict) else plain


serialization.unstructure = _with_more
"""
UNKNOWN = {"schema": 99, "look": "elsewhere"}

RECOVERED_WITHIN_SECONDS = 25.0
PAUSE_SECONDS = 10.0
# An empty variable counts as unset.
DEFAULT_TIMES = Ground(
    dict.fromkeys(
        ("WORKER_LEASE_SECONDS", "WORKER_SWEEP_SECONDS", "WORKER_FIRST_RING_WAIT", "WORKER_MAX_RING_WAIT"), ""
    )
)


@experiment("R17", modes=(AS_REAL,), scaled=True, quick=True)
def rolling_restart(trial: Trial) -> None:
    """SIGTERM for each worker in turn, the whole fleet round, under load: no effect is repeated.

    Full size: 20 rounds.
    """
    rounds, arena = trial.sized(2, 20), trial.arena
    with trial.load(12 * rounds, 12.0 * rounds):
        for worker in [*arena.fleet.workers.values()] * rounds:
            arena.did("terminate", worker.name)
            began = time.monotonic()
            worker.process.terminate()
            gone = worker.process.wait(seconds=GRACE_SECONDS)
            code, took = worker.process.exit_code, time.monotonic() - began
            trial.check(gone and code == 0, f"{worker.name} ended with {code} after {took:.1f} s")
            worker.kill()
            worker.start()
            worker.wait_ready()
    trial.check_once()


@experiment("R18", scaled=True)
def killed_while_ending(trial: Trial) -> None:
    """SIGTERM, and SIGKILL at a random moment of the drain.

    Full size: 20 rounds, up to 60 s between the two.
    """
    arena, chance = trial.arena, trial.chance
    rounds, longest = trial.sized(4, 20), float(trial.sized(2, 60))
    with trial.load(5 * rounds, 4.0 * rounds):
        for _ in range(rounds):
            worker, seconds = chance.choice(list(arena.fleet.workers.values())), chance.uniform(0.0, longest)
            arena.did("terminate_then_kill", f"{worker.name} after {seconds:.2f} s")
            worker.process.terminate()
            time.sleep(seconds)
            worker.kill()
            worker.start()
            time.sleep(1.0)
        arena.heal()


@experiment("R20", ground=Ground(alone=True))
def overlong(trial: Trial) -> None:
    """A file that sleeps beyond its time, one that nothing wakes, one busy in C: ERROR with the reason, the rest is done.

    In a pool of threads and in one of processes. The harness is the supervisor: it starts a worker that ended, and
    kills one whose liveness no longer answers.
    """
    arena = trial.arena
    for pool, settings in POOLS.items():
        folder = arena.directory / f"overlong-{pool}"
        environment = {**arena.environment, **LIMITS, **settings, "PYTHONPATH": _plugged_in(folder)}
        for worker in arena.fleet.of(FILE_PROCESSING):
            worker.kill()
        with running_fleet(environment, folder, kinds=(FILE_PROCESSING, FILE_PROCESSING)) as fleet:
            tenant = new_tenant(arena)
            arena.did("overlong_files", f"asleep, deaf, busy in {pool}")
            arena.fault("delay", "/execute-file/", delay=30, count=1)
            asleep = _sent(tenant, "asleep", 0)
            aiming.until_ended(arena, asleep)
            others = [_sent(tenant, kind, 3) for kind in ("deaf", "busy")]
            _supervise(trial, fleet, others)
            trial.settle(asleep, *others)
            for sent in (asleep, *others):
                for name, file in arena.files(sent).items():
                    wanted = "ERROR" if name in sent.doomed else "COMPLETED"
                    trial.check(file.status == wanted, f"{pool}: {name} shows {file.status}", sent)
                    trial.check(wanted != "ERROR" or bool(file.error), f"{pool}: {name} has no reason", sent)
    arena.heal()


def _plugged_in(folder: Path) -> str:
    path = aiming.python_path(folder, overlong=EXECUTOR)
    about = folder / "overlong-1.dist-info"
    about.mkdir()
    for name, text in DISTRIBUTION.items():
        (about / name).write_text(text, encoding="utf-8")
    return path


def _sent(tenant: Tenant, kind: str, good: int) -> Sent:
    doomed = f"{kind}-{tenant.names('x', 1)[0]}"
    return tenant.send(
        (doomed, *tenant.names("t", good)), doomed=(doomed,), status="COMPLETED" if good else "ERROR"
    )  # fmt: skip


def _supervise(trial: Trial, fleet: Fleet, sent: list[Sent]) -> None:
    """Restarts what ended or has not answered for a while, until these executions have ended."""
    heard = dict.fromkeys(fleet.workers, time.monotonic())
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and not aiming.ended(trial.arena, *sent):
        for name, worker in fleet.workers.items():
            if worker.running and _alive(worker):
                heard[name] = time.monotonic()
            elif not worker.running or time.monotonic() - heard[name] > UNANSWERED_SECONDS:
                trial.arena.did(None, f"{name} is restarted, exit code {worker.process.exit_code}")
                worker.kill()
                worker.start()
                heard[name] = time.monotonic()
        time.sleep(0.2)


def _alive(worker: Worker) -> bool:
    try:
        return call("GET", f"http://{HEALTH_HOST}:{worker.health_port}/health/live", timeout=1.0).status == 200
    except CallFailed:
        return False


@experiment("R23", modes=(AS_REAL,))
def wrong_clocks(trial: Trial) -> None:
    """Half of the workers' clocks jump an hour ahead, two back, and are right again, under load: no effect.

    The clock is injected into the interpreter (time and datetime; the monotonic clock goes on, as after a real jump).
    """
    arena, folder = trial.arena, trial.arena.directory / "clocks"
    path = aiming.python_path(folder, sitecustomize=MOVED_CLOCK)
    clock, following = folder / "seconds", folder / "seconds.new"
    clock.write_text("0")
    moved = {**arena.environment, "PYTHONPATH": path, "HARNESS_CLOCK": str(clock)}
    with running_fleet(moved, folder) as fleet, trial.load(16, 12.0):
        logs = [worker.process.log_path for worker in fleet.workers.values()]
        for off in JUMPS:
            time.sleep(3.0)
            arena.did("clock_jump", f"to {off:+.0f} s")
            following.write_text(str(off))
            following.replace(clock)
            said = f"now {off:+.0f} s off"
            jumped = wait_until(lambda: all(said in log.read_text() for log in logs), seconds=20)  # noqa: B023 - at once
            trial.check(jumped, f"a clock did not jump to {off:+.0f} s")
    trial.check_once()


@experiment("R33")
def two_releases(trial: Trial) -> None:
    """Workers that write fields which the others do not know, and doorbells of an unknown form: all is finished.

    The later release is this one with more fields in everything that it writes.
    """
    arena, folder, tenant = trial.arena, trial.arena.directory / "later", new_tenant(trial.arena)
    later = {**arena.environment, "PYTHONPATH": aiming.python_path(folder, sitecustomize=LATER_RELEASE)}
    with running_fleet(later, folder):
        arena.did("later_release", "four more workers")
        with trial.load(12, 5.0, tenant=tenant) as feeder:
            feeder.join()
            bells = arena.tap.heard(("uw_api_files", "uw_files", "uw_callback"))[-20:]
            arena.did("unknown_schema", f"{len(bells)} doorbells")
            arena.tap.push([each.changed(lambda _: UNKNOWN) for each in bells])
            time.sleep(1.0)
            feeder.sent.append(tenant.api(3))


@experiment("R34", modes=(AS_REAL,), scaled=True, ground=DEFAULT_TIMES)
def killed_with_default_times(trial: Trial) -> None:
    """With the default lease and sweep: what a killed file worker had ends within 25 s (95 %), a pause of 10 s costs nothing.

    The files are short, so that this is the time until the work is taken up. Full size: 20 kills; scaled: 2.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    _paused(trial, tenant)
    first = len(arena.trace)
    for _ in range(trial.sized(2, 20)):
        _slow_down(trial)
        sent = [tenant.api(6), tenant.etl(6), tenant.api(6)]
        worker = aiming.busy_worker(arena, *sent)
        arena.did("kill_file_worker", worker.name)
        worker.kill()
        trial.settle(*sent)
        arena.heal()
    waits = sorted(recovery_times(trial, first))
    most = waits[int(len(waits) * 0.95)] if waits else 0.0
    trial.check(bool(waits), "no execution was under way when its worker was killed")
    trial.check(most <= RECOVERED_WITHIN_SECONDS, f"95 % of {len(waits)} executions ended within {most:.1f} s")


def _paused(trial: Trial, tenant: Tenant) -> None:
    """Nothing is taken from a worker that pauses for 10 s."""
    _slow_down(trial)
    sent = tenant.api(6)
    worker = aiming.busy_worker(trial.arena, sent)
    trial.arena.did("freeze_worker", f"{worker.name} for {PAUSE_SECONDS:.0f} s")
    with worker.process.frozen():
        time.sleep(PAUSE_SECONDS)
    trial.settle(sent)
    times = aiming.executed(trial.arena, sent)
    trial.check(times == sent.files, f"{sent.files} files were executed {times} times", sent)


def _slow_down(trial: Trial) -> None:
    """For three seconds files take one each. This is no fault from which an execution recovers."""
    delay = {"kind": "delay", "path": "/execute-file/", "delay": 1.0, "seconds": 3}
    trial.arena.backend.dev("POST", "faults", delay)
