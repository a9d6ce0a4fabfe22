"""R1, R2, R3: random faults under load."""

from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.nemesis import Nemesis
from unstract_devstack.faults.registry import BOTH, Trial, experiment
from unstract_devstack.faults.schedule import plan

SECONDS_PER_KILL = 2.0


def random_faults(trial: Trial) -> None:
    """Random kills of worker groups and other faults under load: all ends, nothing is lost, nothing twice.

    Full size: 200 executions of 1 to 20 files, 50 kills (3,000 nightly).
    """
    arena, seconds = trial.arena, max(20.0, trial.kills * SECONDS_PER_KILL)
    actions = plan(trial.seed, kills=trial.kills, seconds=seconds)
    for action in actions:
        arena.trace.note(f"planned {action}")
    most = trial.sized(8, 20)
    feeder = Feeder(new_tenant(arena), trial.seed, trial.executions, seconds * 0.9, most_files=most)
    feeder.start()
    Nemesis(arena).unleash(actions)
    sent = feeder.join()
    arena.heal()
    trial.settle(*sent)


for _identifier in ("R1", "R2", "R3"):
    experiment(_identifier, modes=BOTH, scaled=True, quick=True)(random_faults)
