"""R10 to R14, R32: Redis dies, loses its last writes, is wiped, is frozen, takes no writes."""

import contextlib
import json
import resource
import time
from collections.abc import Iterator

from unstract_devstack.faults import aiming
from unstract_devstack.faults.arena import Arena
from unstract_devstack.faults.checker import AS_REAL, Sent
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.nemesis import Action, Kind, cut_log, log_size, unleash
from unstract_devstack.faults.trial import BOTH, Ground, Trial, experiment
from unstract_devstack.fleet import API_DEPLOYMENT, GENERAL
from unstract_devstack.processes import wait_until

RESCUE_SECONDS = 60.0
RESCUED = "org_rescued"
# Rescue is opt-in, and looks at the organizations that are configured.
RESCUE = Ground({"RESCUE_UNSEEN_AFTER": str(RESCUE_SECONDS), "WORKER_ORGANIZATIONS": RESCUED})
REFUSED_SECONDS = 5.0
REFUSED_STEPS = "unstract_worker_ledger_steps_total"
NO_ROOM = "[Errno 28] No space left on device"
CUT = "cut_redis_log"


@experiment("R10", scaled=True)
def redis_killed(trial: Trial) -> None:
    """Redis is killed and started again under load; its log is flushed every second.

    Full size: 20 kills.
    """
    times = trial.sized(4, 20)
    with trial.load(4 * times, 3.0 * times):
        unleash(trial.arena, [Action(2.0 + 3.0 * each, Kind.KILL_REDIS) for each in range(times)])


@experiment("R11", modes=BOTH, scaled=True)
def redis_log_cut(trial: Trial) -> None:
    """Redis loses the last 64 KB to 1 MB of its log after the executions were accepted; all the same each ends once.

    What is cut off is progress: claims, outcomes, the end. A start message inside the cut is R12's case. Full size:
    10 cuts.
    """
    arena, tenant, chance = trial.arena, new_tenant(trial.arena, subscribers=0), trial.chance
    for _ in range(trial.sized(2, 10)):
        size = chance.randint(64 * 1024, 1024 * 1024)
        sent = [tenant.api(6, status=None) for _ in range(4)]
        aiming.until_state(arena, "ARMED", *sent)
        # Writes of others, so that a long cut reaches no further back than to these executions' work.
        filler = size - chance.randint(8 * 1024, 48 * 1024)
        for start in range(0, filler, 4096):
            arena.store.set("harness:filler", "x" * min(4096, filler - start))
        time.sleep(chance.uniform(0.1, 0.6))
        arena.did(CUT, f"{size} bytes")
        cut_log(arena, size)
        trial.settle(*sent)
    _back_to_accepted(trial, tenant)


def _back_to_accepted(trial: Trial, tenant: Tenant) -> None:
    """The worst cut: the message was just accepted, and half of its files are done and written in the backend.

    The pipeline's source then lists what is left; what was done before counts if its row says so.
    """
    arena = trial.arena
    arena.fault("delay", "/tool-instances/", delay=1.5, seconds=10)
    sent = [tenant.etl(8, counted=False), tenant.api(8)]
    aiming.until_state(arena, "ACCEPTED", *sent)
    time.sleep(0.2)
    size = log_size(arena)
    arena.clear_faults()
    arena.fault("delay", "/execute-file/", delay=0.3, seconds=30)
    aiming.until_executed(arena, 4, *sent)
    lost = log_size(arena) - size
    arena.did(CUT, f"{lost} bytes, back to where the runs were accepted")
    cut_log(arena, lost)
    trial.settle(*sent)
    _agrees_with_rows(trial, sent[0])


@experiment("R12", ground=RESCUE)
def redis_wiped(trial: Trial) -> None:
    """FLUSHALL in the middle: executions of configured organizations end, in ERROR or rebuilt."""
    arena, tenant = trial.arena, new_tenant(trial.arena, subscribers=0, name=RESCUED)
    arena.fault("delay", "/execute-file/", delay=0.5, seconds=30)
    # An API execution may end in ERROR: its files are no longer known. A pipeline's source still has them.
    sent = [tenant.api(8, status=None, stopped=True) for _ in range(3)]
    sent.append(tenant.etl(8, counted=False))
    aiming.until_executed(arena, 1, *sent)
    arena.did("flush_redis", "everything")
    arena.store.flushall()
    trial.settle(*sent, seconds=RESCUE_SECONDS + 60.0)
    _agrees_with_rows(trial, sent[-1])


def _agrees_with_rows(trial: Trial, sent: Sent) -> None:
    """An execution that was rebuilt reports each file whose row is completed, those from before among them."""
    rows = sum(file.status == "COMPLETED" for file in trial.arena.files(sent).values())
    shown = trial.arena.row(sent)
    text = f"{rows} rows are completed, the execution says {shown.successful}"
    trial.check(shown.status == "ERROR" or shown.successful == rows, text, sent)


@experiment("R13", scaled=True, quick=True)
def redis_frozen(trial: Trial) -> None:
    """Redis is frozen for 6 s: nothing counts twice, the workers go on without a restart.

    Full size: 60 s as well.
    """
    arena, length = trial.arena, float(trial.sized(6, 60))
    workers = arena.fleet.workers.values()
    pids = [worker.process.pid for worker in workers]
    with trial.load(8, 6.0, settle_seconds=length + 75):
        unleash(arena, [Action(2.0, Kind.FREEZE_REDIS, length=length)])
    alive = wait_until(lambda: all(worker.ready() for worker in workers), seconds=30)
    same = [worker.process.pid for worker in workers] == pids
    trial.check(alive and same, "a worker did not take up its work again")


@experiment("R14", modes=(AS_REAL,))
def writes_refused(trial: Trial) -> None:
    """Redis refuses writes, out of memory and for want of replicas: nothing is acknowledged unrecorded, all goes on.

    The start messages of some executions are taken from their queue while nothing can be written down.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    failed = aiming.counted(arena, REFUSED_STEPS, outcome="error")
    for setting in ("maxmemory", "min-replicas-to-write"):
        with trial.load(6, 4.0, tenant=tenant, most_files=4) as feeder:
            time.sleep(1.5)
            with aiming.frozen_workers(arena, API_DEPLOYMENT, GENERAL) as frozen:
                feeder.sent += [tenant.api(2), tenant.etl(2)]
                arena.did("redis_refuses_writes", setting)
                arena.store.config_set(setting, "1")
                try:
                    frozen.close()
                    time.sleep(REFUSED_SECONDS)
                finally:
                    arena.store.config_set(setting, "0")
                arena.did(None, f"{setting} as usual")
    refused = aiming.counted(arena, REFUSED_STEPS, outcome="error") - failed
    trial.check(refused > 0, "no metric counts the ledger's refused steps")


@experiment("R32", modes=(AS_REAL,))
def disk_full(trial: Trial) -> None:
    """The disk of Redis' log is full: writes are refused and go on once there is room; a file for want of room is ERROR.

    The stand-in for the disk is a limit to the size of the log, set while Redis runs.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    with trial.load(10, 8.0, tenant=tenant, most_files=4):
        time.sleep(2.0)
        with _no_room(arena):
            time.sleep(REFUSED_SECONDS)
            state = arena.store.info("persistence")["aof_last_write_status"]
            trial.check(state == "err", f"the log was written all the same: {state}")
    failed = {"status": "error", "error": NO_ROOM}
    arena.fault("body", "/execute-file/", status=200, body=json.dumps(failed), count=1)
    (name,) = tenant.names("t", 1)
    sent = tenant.send((name,), doomed=(name,), status="ERROR")
    trial.settle(sent)
    said = arena.files(sent)[name].error or ""
    trial.check(NO_ROOM in said, f"the file's row says {said!r}", sent)


@contextlib.contextmanager
def _no_room(arena: Arena) -> Iterator[None]:
    pid, size = arena.redis.pid, log_size(arena)
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    arena.did("disk_full", f"no log beyond {size} bytes")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        arena.did(None, "there is room again")
