"""R14, R32: Redis takes no writes, for want of memory, of replicas, of disk."""

import contextlib
import json
import resource
from collections.abc import Iterator

from unstract_devstack.faults.arena import Arena
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.experiments.looking import counted
from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.nemesis import log_size
from unstract_devstack.faults.registry import AS_REAL, Trial, experiment
from unstract_devstack.fleet import API_DEPLOYMENT, GENERAL

REFUSED_SECONDS = 5.0
NO_ROOM = "[Errno 28] No space left on device"


@experiment("R14", modes=(AS_REAL,))
def writes_refused(trial: Trial) -> None:
    """Redis refuses writes, out of memory and for want of replicas: nothing is acknowledged unrecorded, all goes on.

    The start messages of some executions are taken from their queue while nothing can be written down.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    failed = counted(arena, "unstract_worker_ledger_steps_total", outcome="error")
    for setting, value, usual in (("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")):
        feeder = Feeder(tenant, trial.seed, 6, 4.0, most_files=4)
        feeder.start()
        aiming.pause(1.5)
        with aiming.frozen(arena, API_DEPLOYMENT, GENERAL) as thaw:
            waiting = [tenant.api(2), tenant.etl(2)]
            with _refusing(arena, setting, value, usual):
                thaw.close()
                aiming.pause(REFUSED_SECONDS)
        trial.settle(*feeder.join(), *waiting)
    counted_errors = counted(arena, "unstract_worker_ledger_steps_total", outcome="error") - failed
    trial.check(counted_errors > 0, "no metric counts the ledger's refused steps")


@contextlib.contextmanager
def _refusing(arena: Arena, setting: str, value: str, usual: str) -> Iterator[None]:
    arena.trace.fault("redis_refuses_writes", f"{setting} {value}")
    with arena.redis.client() as client:
        client.config_set(setting, value)
        try:
            yield
        finally:
            client.config_set(setting, usual)
    arena.trace.note(f"{setting} as usual")


@experiment("R32", modes=(AS_REAL,))
def disk_full(trial: Trial) -> None:
    """The disk of Redis' log is full: writes are refused and go on once there is room; a file for want of room is ERROR.

    The stand-in for the disk is a limit to the size of the log, set while Redis runs.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    feeder = Feeder(tenant, trial.seed, 10, 8.0, most_files=4)
    feeder.start()
    aiming.pause(2.0)
    with _no_room(arena):
        aiming.pause(REFUSED_SECONDS)
        with arena.redis.client() as client:
            state = client.info("persistence")["aof_last_write_status"]
        trial.check(state == "err", f"the log was written all the same: {state}")
    trial.settle(*feeder.join())
    failed = {"status": "error", "error": NO_ROOM}
    arena.fault("body", "/execute-file/", status=200, body=json.dumps(failed), count=1)
    (name,) = tenant.names("t", 1)
    sent = tenant.send((name,), doomed=(name,), status="ERROR")
    trial.settle(sent)
    said = arena.history.files(sent.execution_id)[name].error or ""
    trial.check(NO_ROOM in said, f"the file's row says {said!r}", sent.execution_id)


@contextlib.contextmanager
def _no_room(arena: Arena) -> Iterator[None]:
    pid, size = arena.redis.pid, log_size(arena)
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    arena.trace.fault("disk_full", f"no log beyond {size} bytes")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        arena.trace.note("there is room again")
