"""R5 to R9, R28, R29: messages that are lost, repeated, late, or delivered twice at once; what the sweeper finds again."""

import random
import threading
import time

from unstract_devstack.faults import aiming
from unstract_devstack.faults.checker import AS_REAL, Sent
from unstract_devstack.faults.load import new_tenant
from unstract_devstack.faults.nemesis import DOORBELL_QUEUES
from unstract_devstack.faults.tap import Heard
from unstract_devstack.faults.trial import Trial, experiment
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, running_fleet

EATERS = 8
WORKERS_ASK_ANEW = 1.5
HEALED_WITHIN = 15.0
"""Two sweeps, a ring's wait, a lease and the work itself."""
STAGES = (
    ("ACCEPTED", API_DEPLOYMENT, "uw_orchestrate_api"),
    ("ARMED", FILE_PROCESSING, "uw_api_files"),
    ("READY", CALLBACK, "uw_callback"),
)


@experiment("R5", quick=True)
def lost_messages(trial: Trial) -> None:
    """A message that the broker or a dying worker loses is replaced.

    File workers are frozen while doorbells are rung, then killed; queues are deleted; what was taken and not
    acknowledged is forgotten.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    workers = arena.fleet.of(FILE_PROCESSING)
    for worker in workers:
        worker.process.freeze()
    frozen = [tenant.api(3) for _ in range(2)]
    aiming.until_state(arena, "ARMED", *frozen)
    for worker in workers:
        arena.did("frozen_then_killed", worker.name)
        worker.kill()
    emptied = [tenant.api(3), tenant.etl(2)]
    aiming.until_state(arena, "ARMED", *emptied)
    arena.did("drop_doorbells", f"{arena.store.delete(*DOORBELL_QUEUES)} queues")
    arena.did("drop_unacked", f"{arena.store.delete('uw_unacked', 'uw_unacked_index')} of unacked and its index")
    arena.heal()
    trial.settle(*frozen, *emptied)


@experiment("R6", modes=(AS_REAL,), quick=True)
def lost_callback(trial: Trial) -> None:
    """A callback doorbell that is lost three times is rung again, and the end is written once."""
    arena, tenant, eaten = trial.arena, new_tenant(trial.arena), list[str]()
    enough, clients = threading.Event(), list[int]()

    def eat() -> None:
        with arena.redis.client(timeout=60.0) as client:
            clients.append(int(client.client_id()))
            while not enough.is_set():
                eaten.extend(client.brpop("uw_callback", timeout=50) or ())

    # More clients waiting for callback doorbells than there are workers, and for longer: what they get is lost. Redis
    # serves who has waited longest; a worker asks again every second.
    threads = [threading.Thread(target=eat, daemon=True) for _ in range(EATERS)]
    for thread in threads:
        thread.start()
    time.sleep(WORKERS_ASK_ANEW)
    sent = tenant.api(2)
    try:
        aiming.until(lambda: len(eaten) // 2 >= 3, f"three callback doorbells of {sent.execution_id} are taken away")
    finally:
        enough.set()
        for each in clients:
            arena.store.client_unblock(each)
        for thread in threads:
            thread.join()
    arena.did("lost_callback", f"{len(eaten) // 2} doorbells")
    trial.settle(sent)


@experiment("R7", modes=(AS_REAL,), quick=True)
def duplicates(trial: Trial) -> None:
    """Every message again one to five times, at the start, in between and after the end: nothing happens twice."""
    arena, tenant, chance = trial.arena, new_tenant(trial.arena), trial.chance
    sent = [tenant.api(chance.randint(1, 6)) for _ in range(5)] + [tenant.etl(4)]
    for _ in range(6):
        for each in sent:
            _repeat(trial, each, chance)
        time.sleep(0.3)
    arena.settled(sent)
    for each in sent:
        _repeat(trial, each, chance)
    time.sleep(3.0)
    trial.settle(*sent)


def _repeat(trial: Trial, sent: Sent, chance: random.Random) -> None:
    heard = dict.fromkeys(trial.arena.tap.heard(run_id=sent.execution_id))
    unique = (each for each in heard if each.queue != "celery_log_task_queue")
    copies = [each for each in unique for _ in range(chance.randint(1, 5))]
    chance.shuffle(copies)
    trial.arena.did("duplicate_messages", f"{len(copies)} copies for {sent.execution_id}")
    trial.arena.tap.push(copies)


@experiment("R8", modes=(AS_REAL,), quick=True)
def late(trial: Trial) -> None:
    """Batch doorbells after the end, after a stop, and of another epoch are skipped and change nothing."""
    arena, tenant = trial.arena, new_tenant(trial.arena)

    def bells(sent: Sent) -> list[Heard]:
        return arena.tap.heard(("uw_api_files",), sent.execution_id)

    over = tenant.api(4)
    arena.settled([over])
    aborted = tenant.api(8, stopped=True, status="STOPPED")
    aiming.until_state(arena, "ARMED", aborted)
    tenant.platform.stop(aborted.execution_id)
    aiming.until_state(arena, "DONE", aborted)
    before = aiming.executed(arena, over), aiming.executed(arena, aborted)
    late_ones = bells(over) + bells(aborted)
    trial.check(bool(late_ones), "no doorbells were heard")
    arena.did("late_messages", f"{len(late_ones)} doorbells after the end")
    arena.tap.push(late_ones)
    running = tenant.api(6)
    aiming.until(lambda: bool(bells(running)), "doorbells are rung")
    arena.tap.push([each.changed(lambda fields: {**fields, "epoch": 7}) for each in bells(running)])
    trial.settle(over, aborted, running)
    after = aiming.executed(arena, over), aiming.executed(arena, aborted)
    trial.check(before == after, f"late doorbells started work: {before} became {after}")


@experiment("R9", modes=(AS_REAL,), scaled=True, quick=True)
def double_start(trial: Trial) -> None:
    """The same start message many times at once: one epoch, one execution.

    Full size: 500 executions, and 500 redeliveries of one scheduled start.
    """
    arena, tenant, rounds = trial.arena, new_tenant(trial.arena), trial.sized(20, 500)
    sent = []
    for _ in range(rounds):
        sent.append(tenant.api(2))
        arena.tap.push(arena.tap.heard(("celery_api_deployments",), sent[-1].execution_id))
    pipeline, names = tenant.pipeline(3)
    tenant.platform.trigger(pipeline, "schedule")
    aiming.until(lambda: bool(arena.tap.heard(("celery",), pipeline)), "the scheduled start is heard")
    arena.did("duplicate_messages", f"{rounds} starts, and one scheduled start {rounds} times")
    arena.tap.push(arena.tap.heard(("celery",), pipeline)[:1] * rounds)
    trial.settle(*sent)
    rows = [row for row in arena.rows(tenant.organization).values() if row.pipeline_id == pipeline]
    trial.check(len(rows) == 1, f"the scheduled start made {len(rows)} executions")
    trial.settle(*(tenant.expect(row.id, names) for row in rows[:1]))


@experiment("R28", modes=(AS_REAL,), quick=True)
def stranded(trial: Trial) -> None:
    """A run stranded at each stage is found and ends: accepted, armed and ready, each without its doorbell."""
    arena = trial.arena

    def lose(state: str, queue: str) -> int:
        deleted = int(arena.store.delete(queue))
        arena.did("stranded", f"{state}: {deleted} of {queue} deleted")
        return deleted

    for state, kind, queue in STAGES:
        tenant = new_tenant(arena)
        with aiming.stopped(arena, kind):
            sent = tenant.api(2)
            if state != "ACCEPTED":
                aiming.until_state(arena, state, sent)
                aiming.until(lambda: lose(state, queue) > 0, "a doorbell is rung")  # noqa: B023 - at once
        if state == "ACCEPTED":
            lose(state, queue)
        judged = trial.settle(sent, seconds=HEALED_WITHIN)
        trial.check(judged.tally.terminal == 1, f"{state} was not found within {HEALED_WITHIN:.0f} s")


@experiment("R29", modes=(AS_REAL,), quick=True)
def four_sweepers(trial: Trial) -> None:
    """Four sweepers at once while doorbells get lost: every effect once."""
    arena, chance = trial.arena, trial.chance
    more = running_fleet(arena.environment, arena.directory / "more", kinds=(CALLBACK, CALLBACK))
    with more, trial.load(12, 6.0) as feeder:
        while feeder.is_alive():
            time.sleep(chance.uniform(0.3, 0.9))
            arena.did("drop_doorbells", f"{arena.store.delete(*DOORBELL_QUEUES)} queues")
    trial.check_once()
