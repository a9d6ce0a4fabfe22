"""R28, R29: what the sweeper finds again, and several sweepers at once."""

import random

from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.nemesis import DOORBELL_QUEUES
from unstract_devstack.faults.registry import AS_REAL, Trial, experiment
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, WorkerKind, running_fleet

HEALED_WITHIN = 15.0
"""Two sweeps, a ring's wait, a lease and the work itself."""


@experiment("R28", modes=(AS_REAL,), quick=True)
def stranded(trial: Trial) -> None:
    """A run stranded at each stage is found and ends: accepted, armed and ready, each without its doorbell."""
    arena = trial.arena
    stages: tuple[tuple[str, WorkerKind, str], ...] = (
        ("ACCEPTED", API_DEPLOYMENT, "uw_orchestrate_api"),
        ("ARMED", FILE_PROCESSING, "uw_api_files"),
        ("READY", CALLBACK, "uw_callback"),
    )
    for state, kind, queue in stages:
        tenant = new_tenant(arena)
        with aiming.stopped(arena, kind):
            sent = tenant.api(2)
            if state != "ACCEPTED":
                aiming.until(lambda sent=sent, state=state: aiming.state_of(arena, sent) == state, state)  # type: ignore[misc]
                with arena.redis.client() as client:
                    aiming.until(lambda client=client, queue=queue: client.delete(queue) > 0, "a doorbell is rung")  # type: ignore[misc]
                arena.trace.fault("stranded", f"{state} without {queue}")
        if state == "ACCEPTED":
            with arena.redis.client() as client:
                arena.trace.fault("stranded", f"{state}: {client.delete(queue)} queue deleted")
        judged = trial.settle(sent, seconds=HEALED_WITHIN)
        trial.check(judged.tally.terminal == 1, f"{state} was not found within {HEALED_WITHIN:.0f} s")


@experiment("R29", modes=(AS_REAL,), quick=True)
def four_sweepers(trial: Trial) -> None:
    """Four sweepers at once while doorbells get lost: every effect once."""
    arena, chance = trial.arena, random.Random(f"R29 {trial.seed}")
    more = running_fleet(arena.environment, arena.directory / "more", kinds=(CALLBACK, CALLBACK))
    with more:
        feeder = Feeder(new_tenant(arena), trial.seed, 12, 6.0)
        feeder.start()
        while not feeder.done:
            aiming.pause(chance.uniform(0.3, 0.9))
            with arena.redis.client() as client:
                arena.trace.fault("drop_doorbells", f"{client.delete(*DOORBELL_QUEUES)} queues")
        judged = trial.settle(*feeder.join())
    trial.check_once(judged)
