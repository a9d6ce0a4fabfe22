"""R10 to R13: Redis dies, loses its last writes, is wiped, is frozen."""

import random

from unstract_devstack.faults.checker import Sent
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Feeder, Tenant, new_tenant
from unstract_devstack.faults.nemesis import Nemesis, cut_log, log_size
from unstract_devstack.faults.registry import BOTH, KEYED, Trial, experiment
from unstract_devstack.faults.schedule import Action, Kind
from unstract_devstack.processes import wait_until

RESCUE_SECONDS = 60.0
RESCUED = "org_rescued"
RESCUE = {"RESCUE_UNSEEN_AFTER": str(RESCUE_SECONDS), "WORKER_ORGANIZATIONS": RESCUED}


@experiment("R10", modes=(KEYED,), scaled=True)
def redis_killed(trial: Trial) -> None:
    """Redis is killed and started again under load; its log is flushed every second.

    Full size: 20 kills.
    """
    times, arena = trial.sized(4, 20), trial.arena
    feeder = Feeder(new_tenant(arena), trial.seed, 4 * times, 3.0 * times)
    feeder.start()
    Nemesis(arena).unleash([Action(2.0 + 3.0 * each, Kind.KILL_REDIS, 0, 0.0, 0) for each in range(times)])
    trial.settle(*feeder.join())


@experiment("R11", modes=BOTH, scaled=True)
def redis_log_cut(trial: Trial) -> None:
    """Redis loses the last 64 KB to 1 MB of its log after the executions were accepted; all the same each ends once.

    What is cut off is progress: claims, outcomes, the end. A start message inside the cut is R12's case. Full size:
    10 cuts.
    """
    arena, chance = trial.arena, random.Random(f"R11 {trial.seed}")
    tenant = new_tenant(arena, subscribers=0)
    for _ in range(trial.sized(2, 10)):
        size = chance.randint(64 * 1024, 1024 * 1024)
        sent = [tenant.api(6, status=None) for _ in range(4)]
        aiming.until(lambda sent=sent: all(aiming.armed(arena, each) for each in sent), "armed")  # type: ignore[misc]
        _fill(trial, size - chance.randint(8 * 1024, 48 * 1024))
        aiming.pause(chance.uniform(0.1, 0.6))
        arena.trace.fault(Kind.CUT_REDIS_LOG, f"{size} bytes")
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
    aiming.until(lambda: all(aiming.state_of(arena, each) == "ACCEPTED" for each in sent), "the runs are accepted")
    aiming.pause(0.2)
    size = log_size(arena)
    arena.clear_faults()
    arena.fault("delay", "/execute-file/", delay=0.3, seconds=30)
    aiming.until(lambda: all(aiming.executed(arena, each) >= 4 for each in sent), "half of the files are done")
    lost = log_size(arena) - size
    arena.trace.fault(Kind.CUT_REDIS_LOG, f"{lost} bytes, back to where the runs were accepted")
    cut_log(arena, lost)
    trial.settle(*sent)
    _agrees_with_rows(trial, sent[0])


def _fill(trial: Trial, size: int) -> None:
    """Writes of others, so that a long cut reaches no further back than to these executions' work."""
    with trial.arena.redis.client() as client:
        for start in range(0, max(size, 0), 4096):
            client.set("harness:filler", "x" * min(4096, size - start))


@experiment("R12", modes=(KEYED,), settings=RESCUE)
def redis_wiped(trial: Trial) -> None:
    """FLUSHALL in the middle: executions of configured organizations end, in ERROR or rebuilt.

    On a fleet of its own: rescue is opt-in, and looks at the organizations that are configured.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena, subscribers=0, name=RESCUED)
    arena.fault("delay", "/execute-file/", delay=0.5, seconds=30)
    # An API execution may end in ERROR: its files are no longer known. A pipeline's source still has them.
    sent = [tenant.api(8, status=None, stopped=True) for _ in range(3)]
    sent.append(tenant.etl(8, counted=False))
    aiming.until(lambda: all(aiming.executed(arena, each) for each in sent), "files are being worked on")
    arena.trace.fault(Kind.FLUSH_REDIS, "everything")
    with arena.redis.client() as client:
        client.flushall()
    trial.settle(*sent, seconds=RESCUE_SECONDS + 60.0)
    _agrees_with_rows(trial, sent[-1])


def _agrees_with_rows(trial: Trial, sent: Sent) -> None:
    """An execution that was rebuilt reports each file whose row is completed, those from before among them."""
    rows = sum(file.status == "COMPLETED" for file in trial.arena.history.files(sent.execution_id).values())
    shown = trial.arena.history.executions(sent.organization)[sent.execution_id]
    text = f"{rows} rows are completed, the execution says {shown.successful}"
    trial.check(shown.status == "ERROR" or shown.successful == rows, text, sent.execution_id)


@experiment("R13", modes=(KEYED,), scaled=True, quick=True)
def redis_frozen(trial: Trial) -> None:
    """Redis is frozen for 6 s: nothing counts twice, the workers go on without a restart.

    Full size: 60 s as well.
    """
    arena, length = trial.arena, float(trial.sized(6, 60))
    pids = {worker.name: worker.process.pid for worker in arena.fleet.workers.values()}
    feeder = Feeder(new_tenant(arena), trial.seed, 8, 6.0)
    feeder.start()
    Nemesis(arena).unleash([Action(2.0, Kind.FREEZE_REDIS, 0, length, 0)])
    trial.settle(*feeder.join(), seconds=length + 75)
    alive = wait_until(lambda: all(worker.ready() for worker in arena.fleet.workers.values()), seconds=30)
    same = {worker.name: worker.process.pid for worker in arena.fleet.workers.values()} == pids
    trial.check(alive and same, "a worker did not take up its work again")
