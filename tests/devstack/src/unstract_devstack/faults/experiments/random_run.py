"""R1, R2, R3: random faults under load."""

import time

from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.nemesis import Nemesis
from unstract_devstack.faults.registry import BOTH, Trial, experiment
from unstract_devstack.faults.schedule import plan

SECONDS_PER_KILL = 2.0
JUST_OVER = 1.0


def random_faults(trial: Trial) -> None:
    """Random kills of worker groups and other faults under load: all ends, nothing is lost, nothing twice.

    Full size: 200 executions of 1 to 20 files, 50 kills (3,000 nightly).
    """
    arena, seconds = trial.arena, max(20.0, trial.kills * SECONDS_PER_KILL)
    actions = plan(trial.seed, kills=trial.kills, seconds=seconds)
    for action in actions:
        arena.trace.note(f"planned {action}")
    most = trial.sized(8, 20)
    began = time.time()
    feeder = Feeder(new_tenant(arena), trial.seed, trial.executions, seconds * 0.9, most_files=most)
    feeder.start()
    Nemesis(arena).unleash(actions)
    sent = feeder.join()
    arena.heal()
    judged = trial.settle(*sent)
    again, hit = judged.tally.effects_doubled_unkeyed, _calls_hit(trial, began)
    trial.check(again <= hit, f"{again} effects were repeated, but only {hit} calls were under way during a fault")


def _calls_hit(trial: Trial, since: float) -> int:
    """How many calls of execute-file were under way, or just over, when something was done to the fleet."""
    faults = [each.at for each in trial.arena.trace.faults()]
    calls = [each for each in trial.arena.history.requests(since=since) if "/execute-file/" in each.path]
    return sum(any(call.at <= at <= call.at + call.seconds + JUST_OVER for at in faults) for call in calls)


for _identifier in ("R1", "R2", "R3"):
    experiment(_identifier, modes=BOTH, scaled=True, quick=True)(random_faults)
