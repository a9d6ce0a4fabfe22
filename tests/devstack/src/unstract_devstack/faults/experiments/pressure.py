"""R1 to R3, R30, R31: random faults under load, far more work than slots, and much work for a long time."""

import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from unstract_devstack.faults import aiming
from unstract_devstack.faults.arena import Arena
from unstract_devstack.faults.checker import Sent
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.nemesis import Kind, plan, unleash
from unstract_devstack.faults.trial import BOTH, Ground, Trial, experiment
from unstract_devstack.processes import wait_until

# Two file workers of two slots; a batch must be done within 10 s of its claim, and waits for longer than that.
TIGHT = Ground(
    {
        "FILE_PROCESSING_CONCURRENCY": "2",
        "FILE_PROCESSING_TASK_TIME_LIMIT": "10",
        "FILE_PROCESSING_TASK_SOFT_TIME_LIMIT": "9",
    }
)
ORGANIZATIONS = 3
FILE_SECONDS = 1.2
ALLOWED = (24.0, 24, 24)
"""MiB, files and threads that a worker may hold more than before: a connection and a thread a slot, and slack."""
SECONDS_PER_KILL = 2.0
UNREST = (Kind.KILL_REDIS, Kind.FREEZE_WORKER, Kind.DROP_DOORBELLS, Kind.DUPLICATE, Kind.OUTAGE, Kind.CUT_AFTER)
Costs = dict[str, tuple[int, aiming.Cost]]


@experiment("R30", scaled=True, ground=TIGHT)
def back_pressure(trial: Trial) -> None:
    """Far more executions than slots, of three organizations in turn: served as they came, memory flat, none given up.

    Each waits for longer than a batch may take once it is claimed. Full size: 10,000 executions; scaled: 54.
    """
    arena, each = trial.arena, trial.sized(18, 3_333)
    tenants = [new_tenant(arena, subscribers=0) for _ in range(ORGANIZATIONS)]
    trial.settle(*(tenant.api(2) for tenant in tenants))
    before = _costs(arena)
    if not trial.full:
        arena.fault("delay", "/execute-file/", delay=FILE_SECONDS)
    arena.did("back_pressure", f"{each} executions of each of {ORGANIZATIONS} organizations, 4 slots")

    def send(tenant: Tenant) -> list[Sent]:
        return [tenant.api(1) for _ in range(each)]

    with ThreadPoolExecutor(ORGANIZATIONS) as threads:  # as the platform's callers are many
        sent = [one for turn in zip(*threads.map(send, tenants), strict=True) for one in turn]
    trial.settle(*sent, seconds=trial.sized(120, 4 * 3600))
    arena.clear_faults()
    _flat(trial, before)
    _fair(trial, sent)


def _fair(trial: Trial, sent: Sequence[Sent]) -> None:
    """No organization comes last: the places at which its executions end are spread over all of them."""
    ends = sorted((trial.arena.end_of(each) or float("inf"), each.organization) for each in sent)
    places: dict[str, list[int]] = {}
    for place, (_, organization) in enumerate(ends):
        places.setdefault(organization, []).append(place)
    means = [statistics.mean(each) for each in places.values()]
    fair = all(abs(mean - len(ends) / 2) <= 0.25 * len(ends) for mean in means)
    trial.check(fair, f"organizations end at mean places {means} of {len(ends)}")


@experiment("R31", scaled=True, ground=Ground(alone=True))
def soak(trial: Trial) -> None:
    """Many executions while Redis dies, doorbells get lost, the backend is away: at the end all is as at the start.

    Memory, files, threads of each worker, connections to Redis, keys in Redis that nothing takes away. Full size:
    10,000 executions; scaled: 90.
    """
    arena, executions, tenant = trial.arena, trial.sized(90, 10_000), new_tenant(trial.arena)
    with trial.load(30, 10.0, tenant=tenant, most_files=3, settle_seconds=120.0):
        pass
    _quiet(arena)
    before, keys, connections = _costs(arena), _lasting_keys(arena), len(arena.store.client_list())
    seconds = executions * 0.4
    with trial.load(executions, seconds, tenant=tenant, most_files=3, settle_seconds=120.0):
        unleash(arena, plan(trial.seed, kills=0, seconds=seconds, kinds=UNREST * trial.sized(1, 100)))
    _quiet(arena)
    _flat(trial, before)
    left = _lasting_keys(arena) - keys
    trial.check(not left, f"{len(left)} keys without an end are left: {sorted(left)[:5]}")
    more = len(arena.store.client_list()) - connections
    trial.check(more <= ALLOWED[1] * len(before), f"{more} more connections to Redis than before")


def _quiet(arena: Arena) -> None:
    """Returns when the ledger holds no open run."""
    aiming.until(lambda: not arena.store.smembers("uw:open"), "no run is open", seconds=60)


def _lasting_keys(arena: Arena) -> set[str]:
    """The keys in Redis that nothing takes away: those without an end of their own."""
    return {key for key in arena.store.scan_iter(count=1000) if arena.store.ttl(key) == -1}


def _costs(arena: Arena) -> Costs:
    pids = {name: each.process.pid for name, each in arena.fleet.workers.items()}
    return {name: (pid, aiming.cost_of(pid)) for name, pid in pids.items()}


def _flat(trial: Trial, before: Costs) -> None:
    """No worker holds much more than before; pools need some seconds to let go."""
    workers = trial.arena.fleet.workers

    def more() -> list[str]:
        found = []
        for name, (pid, was) in before.items():
            if workers[name].process.pid != pid:
                found.append(f"{name} ended on the way")
                continue
            now = aiming.cost_of(pid)
            threads = now.threads - was.threads
            # Each new thread keeps a connection to the ledger besides.
            grown = (now.memory - was.memory, now.files - was.files - max(0, threads), threads)
            if any(more > most for more, most in zip(grown, ALLOWED, strict=True)):
                found.append(f"{name}: {was} became {now}")
        return found

    if not wait_until(lambda: not more(), seconds=15):
        trial.check(False, "; ".join(more()))


@experiment("R1", "R2", "R3", modes=BOTH, scaled=True, quick=True)
def random_faults(trial: Trial) -> None:
    """Random kills of worker groups and other faults under load: all ends, nothing is lost, nothing twice.

    Full size: 200 executions of 1 to 20 files, 50 kills (3,000 nightly).
    """
    arena, seconds = trial.arena, max(20.0, trial.kills * SECONDS_PER_KILL)
    actions = plan(trial.seed, kills=trial.kills, seconds=seconds)
    for action in actions:
        arena.did(None, f"planned {action}")
    with trial.load(trial.executions, seconds * 0.9, most_files=trial.sized(8, 20)) as feeder:
        unleash(arena, actions)
        feeder.join()
        arena.heal()
