"""R5 to R9: messages that are lost, repeated, late, or delivered twice at once."""

import random
import threading

from unstract_devstack.faults.checker import Sent
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import new_tenant
from unstract_devstack.faults.nemesis import DOORBELL_QUEUES, drop_unacked, freeze
from unstract_devstack.faults.registry import AS_REAL, KEYED, Trial, experiment
from unstract_devstack.faults.tap import Heard
from unstract_devstack.fleet import FILE_PROCESSING

EATERS = 8
WORKERS_ASK_ANEW = 1.5


@experiment("R5", modes=(KEYED,), quick=True)
def lost_messages(trial: Trial) -> None:
    """A message that the broker or a dying worker loses is replaced.

    File workers are frozen while doorbells are rung, then killed; queues are deleted; what was taken and not
    acknowledged is forgotten.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    workers = arena.workers(FILE_PROCESSING)
    for worker in workers:
        freeze(worker)
    frozen = [tenant.api(3) for _ in range(2)]
    aiming.until(lambda: all(aiming.armed(arena, sent) for sent in frozen), "the runs are armed")
    for worker in workers:
        arena.trace.fault("frozen_then_killed", worker.name)
        worker.kill()
    emptied = [tenant.api(3), tenant.etl(2)]
    aiming.until(lambda: all(aiming.armed(arena, sent) for sent in emptied), "the runs are armed")
    with arena.redis.client() as client:
        arena.trace.fault("drop_doorbells", f"{client.delete(*DOORBELL_QUEUES)} queues")
    arena.trace.fault("drop_unacked", "unacked and its index")
    drop_unacked(arena)
    arena.heal()
    trial.settle(*frozen, *emptied)


@experiment("R6", modes=(AS_REAL,), quick=True)
def lost_callback(trial: Trial) -> None:
    """A callback doorbell that is lost three times is rung again, and the end is written once."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    eaten = _Eaters(trial)
    sent = tenant.api(2)
    eaten.take(sent, times=3)
    trial.check(eaten.count >= 3, f"only {eaten.count} callback doorbells could be taken away", sent.execution_id)
    arena.trace.fault("lost_callback", f"{eaten.count} doorbells")
    trial.settle(sent)


class _Eaters:
    """More clients waiting for callback doorbells than there are workers, and for longer: what they get is lost.

    Redis serves who has waited longest; a worker asks again every second.
    """

    def __init__(self, trial: Trial) -> None:
        self._server = trial.arena.redis
        self._enough = threading.Event()
        self._ids: list[int] = []
        self.count = 0
        self._threads = [threading.Thread(target=self._eat, daemon=True) for _ in range(EATERS)]
        for thread in self._threads:
            thread.start()
        aiming.pause(WORKERS_ASK_ANEW)

    def take(self, sent: Sent, *, times: int) -> None:
        """Waits until so many were eaten, then stops eating."""
        try:
            aiming.until(lambda: self.count >= times, f"{times} callback doorbells of {sent.execution_id}")
        finally:
            self._enough.set()
            with self._server.client() as client:
                for each in self._ids:
                    client.client_unblock(each)
            for thread in self._threads:
                thread.join()

    def _eat(self) -> None:
        with self._server.client(timeout=60.0) as client:
            self._ids.append(int(client.client_id()))
            while not self._enough.is_set():
                if client.brpop("uw_callback", timeout=50) is not None:
                    self.count += 1


@experiment("R7", modes=(AS_REAL,), quick=True)
def duplicates(trial: Trial) -> None:
    """Every message again one to five times, at the start, in between and after the end: nothing happens twice."""
    arena, tenant, chance = trial.arena, new_tenant(trial.arena), random.Random(f"R7 {trial.seed}")
    sent = [tenant.api(chance.randint(1, 6)) for _ in range(5)] + [tenant.etl(4)]
    for _ in range(6):
        for each in sent:
            _repeat(trial, each, chance)
        aiming.pause(0.3)
    arena.settled(sent)
    for each in sent:
        _repeat(trial, each, chance)
    aiming.pause(3.0)
    trial.settle(*sent)


def _repeat(trial: Trial, sent: Sent, chance: random.Random) -> None:
    heard = trial.arena.tap.heard(run_id=sent.execution_id)
    unique = {(each.queue, each.payload): each for each in heard if each.queue != "celery_log_task_queue"}
    copies = [each for each in unique.values() for _ in range(chance.randint(1, 5))]
    chance.shuffle(copies)
    trial.arena.trace.fault("duplicate_messages", f"{len(copies)} copies for {sent.execution_id}")
    trial.arena.tap.push(copies)


@experiment("R8", modes=(AS_REAL,), quick=True)
def late(trial: Trial) -> None:
    """Batch doorbells after the end, after a stop, and of another epoch are skipped and change nothing."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    over = tenant.api(4)
    arena.settled([over])
    aborted = tenant.api(8, stopped=True, status="STOPPED")
    aiming.until(lambda: aiming.armed(arena, aborted), "the run is armed")
    tenant.platform.stop(aborted.execution_id)
    aiming.until(lambda: aiming.state_of(arena, aborted) == "DONE", "the stopped run is closed")
    before = aiming.executed(arena, over), aiming.executed(arena, aborted)
    bells = [each for run in (over, aborted) for each in arena.tap.heard(("uw_api_files",), run.execution_id)]
    trial.check(bool(bells), "no doorbells were heard")
    arena.trace.fault("late_messages", f"{len(bells)} doorbells after the end")
    arena.tap.push(bells)
    running = tenant.api(6)
    aiming.until(lambda: bool(arena.tap.heard(("uw_api_files",), running.execution_id)), "doorbells are rung")
    arena.tap.push([_of_epoch(each, 7) for each in arena.tap.heard(("uw_api_files",), running.execution_id)])
    trial.settle(over, aborted, running)
    after = aiming.executed(arena, over), aiming.executed(arena, aborted)
    trial.check(before == after, f"late doorbells started work: {before} became {after}")


def _of_epoch(heard: Heard, epoch: int) -> Heard:
    arguments, named, *rest = heard.body
    return heard.with_body([arguments, {**named, "epoch": epoch}, *rest])


@experiment("R9", modes=(AS_REAL,), scaled=True, quick=True)
def double_start(trial: Trial) -> None:
    """The same start message many times at once: one epoch, one execution.

    Full size: 500 executions, and 500 redeliveries of one scheduled start.
    """
    arena, tenant, rounds = trial.arena, new_tenant(trial.arena), trial.sized(20, 500)
    sent = []
    for _ in range(rounds):
        sent.append(tenant.api(2))
        starts = arena.tap.heard(("celery_api_deployments",), sent[-1].execution_id)
        arena.tap.push(starts)
    pipeline, names = tenant.pipeline(3)
    tenant.platform.trigger(pipeline, "schedule")
    aiming.until(lambda: bool(arena.tap.heard(("celery",), pipeline)), "the scheduled start is heard")
    arena.trace.fault("duplicate_messages", f"{rounds} starts, and one scheduled start {rounds} times")
    arena.tap.push(arena.tap.heard(("celery",), pipeline)[:1] * rounds)
    trial.settle(*sent)
    rows = [row for row in arena.history.executions(tenant.organization).values() if row.pipeline_id == pipeline]
    trial.check(len(rows) == 1, f"the scheduled start made {len(rows)} executions")
    trial.settle(*(tenant.expect(row.id, names) for row in rows[:1]))
