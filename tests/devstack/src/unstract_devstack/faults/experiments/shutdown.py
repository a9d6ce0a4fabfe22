"""R17, R18: workers that get a signal to end, under load."""

import random
import time

from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.registry import AS_REAL, KEYED, Trial, experiment

GRACE_SECONDS = 8.0 + 10.0
"""What the workers are given to drain (WORKER_DRAIN_SECONDS), and to hand back after it."""


@experiment("R17", modes=(AS_REAL,), scaled=True, quick=True)
def rolling_restart(trial: Trial) -> None:
    """SIGTERM for each worker in turn, the whole fleet round, under load: no effect is repeated.

    Full size: 20 rounds.
    """
    rounds, arena = trial.sized(2, 20), trial.arena
    feeder = Feeder(new_tenant(arena), trial.seed, 12 * rounds, 12.0 * rounds)
    feeder.start()
    for _ in range(rounds):
        for worker in arena.fleet.workers.values():
            arena.trace.fault("terminate", worker.name)
            began = time.monotonic()
            worker.process.terminate()
            gone = worker.process.wait(seconds=GRACE_SECONDS)
            trial.check(gone, f"{worker.name} did not end within {GRACE_SECONDS:.0f} s")
            code = worker.process.exit_code
            trial.check(code == 0, f"{worker.name} ended with {code} after {time.monotonic() - began:.1f} s")
            worker.kill()
            worker.start()
            worker.wait_ready()
    judged = trial.settle(*feeder.join())
    trial.check_once(judged)


@experiment("R18", modes=(KEYED,), scaled=True)
def killed_while_ending(trial: Trial) -> None:
    """SIGTERM, and SIGKILL at a random moment of the drain.

    Full size: 20 rounds, up to 60 s between the two.
    """
    arena, chance = trial.arena, random.Random(f"R18 {trial.seed}")
    rounds, longest = trial.sized(4, 20), float(trial.sized(2, 60))
    feeder = Feeder(new_tenant(arena), trial.seed, 5 * rounds, 4.0 * rounds)
    feeder.start()
    for _ in range(rounds):
        worker = chance.choice(list(arena.fleet.workers.values()))
        seconds = chance.uniform(0.0, longest)
        arena.trace.fault("terminate_then_kill", f"{worker.name} after {seconds:.2f} s")
        worker.process.terminate()
        aiming.pause(seconds)
        worker.kill()
        worker.start()
        aiming.pause(1.0)
    arena.heal()
    trial.settle(*feeder.join())
