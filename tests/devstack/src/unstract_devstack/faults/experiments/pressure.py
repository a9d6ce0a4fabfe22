"""R1 to R3, R30, R31: random faults under load, far more work than slots, and much work for a long time."""

import statistics
import threading
from collections.abc import Sequence

from unstract_devstack.faults.arena import Arena
from unstract_devstack.faults.checker import TERMINAL, Sent
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.experiments.looking import Cost, cost_of, lasting_keys
from unstract_devstack.faults.load import Feeder, Tenant, new_tenant
from unstract_devstack.faults.nemesis import Nemesis
from unstract_devstack.faults.registry import BOTH, KEYED, Trial, experiment
from unstract_devstack.faults.schedule import Kind, plan
from unstract_devstack.processes import wait_until

# Two file workers of two slots; a batch must be done within 10 s of its claim, and waits for longer than that.
TIGHT = {
    "FILE_PROCESSING_CONCURRENCY": "2",
    "FILE_PROCESSING_TASK_TIME_LIMIT": "10",
    "FILE_PROCESSING_TASK_SOFT_TIME_LIMIT": "9",
}
ORGANIZATIONS = 3
FILE_SECONDS = 1.2
ALLOWED = (24.0, 24, 24)
"""MiB, files and threads that a worker may hold more than before: a connection and a thread a slot, and slack."""
SECONDS_PER_KILL = 2.0
UNREST = (Kind.KILL_REDIS, Kind.FREEZE_WORKER, Kind.DROP_DOORBELLS, Kind.DUPLICATE, Kind.OUTAGE, Kind.CUT_AFTER)


@experiment("R30", modes=(KEYED,), scaled=True, settings=TIGHT)
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
    arena.trace.fault("back_pressure", f"{each} executions of each of {ORGANIZATIONS} organizations, 4 slots")
    sent = _in_turn(tenants, each)
    seconds = 120.0 if not trial.full else 4 * 3600.0
    trial.settle(*sent, seconds=seconds)
    arena.clear_faults()
    _flat(trial, before)
    _fair(trial, sent)


def _in_turn(tenants: Sequence[Tenant], each: int) -> list[Sent]:
    """Executions of one file, an organization after the other; one thread each, as the platform's callers are many."""
    sent: list[list[Sent]] = [[] for _ in tenants]

    def send(number: int) -> None:
        for _ in range(each):
            sent[number].append(tenants[number].api(1))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(tenants))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for turn in zip(*sent, strict=False) for one in turn]


def _fair(trial: Trial, sent: Sequence[Sent]) -> None:
    """No organization comes last: the places at which its executions end are spread over all of them."""
    ends = sorted((_ended_at(trial.arena, each), each.organization) for each in sent)
    places: dict[str, list[int]] = {}
    for place, (_, organization) in enumerate(ends):
        places.setdefault(organization, []).append(place)
    middle = len(ends) / 2
    means = [statistics.mean(each) for each in places.values()]
    unfair = [mean for mean in means if abs(mean - middle) > 0.25 * len(ends)]
    trial.check(not unfair, f"organizations end at mean places {means} of {len(ends)}")


def _ended_at(arena: Arena, sent: Sent) -> float:
    effects = arena.history.of(sent.execution_id)
    ends = [each.at for each in effects if each.operation == "executions.update_status" and each.status in TERMINAL]
    return min(ends, default=float("inf"))


@experiment("R31", modes=(KEYED,), scaled=True, alone=True)
def soak(trial: Trial) -> None:
    """Many executions while Redis dies, doorbells get lost, the backend is away: at the end all is as at the start.

    Memory, files, threads of each worker, connections to Redis, keys in Redis that nothing takes away. Full size:
    10,000 executions; scaled: 90.
    """
    arena, executions = trial.arena, trial.sized(90, 10_000)
    tenant = new_tenant(arena)
    _work(trial, tenant, 30, seconds=10.0)
    _quiet(arena)
    before, keys, connections = _costs(arena), lasting_keys(arena), _connections(arena)
    _work(trial, tenant, executions, seconds=executions * 0.4, faults=True)
    _quiet(arena)
    _flat(trial, before)
    left = lasting_keys(arena) - keys
    trial.check(not left, f"{len(left)} keys without an end are left: {sorted(left)[:5]}")
    more = _connections(arena) - connections
    allowed = ALLOWED[1] * len(before)
    trial.check(more <= allowed, f"{more} more connections to Redis than before")


def _work(trial: Trial, tenant: Tenant, executions: int, *, seconds: float, faults: bool = False) -> None:
    feeder = Feeder(tenant, trial.seed, executions, seconds, most_files=3)
    feeder.start()
    if faults:
        Nemesis(trial.arena).unleash(plan(trial.seed, kills=0, seconds=seconds, kinds=UNREST * trial.sized(1, 100)))
    trial.settle(*feeder.join(), seconds=120.0)


def _quiet(arena: Arena) -> None:
    """Returns when the ledger holds no open run."""

    def none_open() -> bool:
        with arena.redis.client() as client:
            return not client.smembers("uw:open")

    aiming.until(none_open, "no run is open", seconds=60)


def _costs(arena: Arena) -> dict[str, tuple[int, Cost]]:
    return {name: (each.process.pid, cost_of(each.process.pid)) for name, each in arena.fleet.workers.items()}


def _connections(arena: Arena) -> int:
    with arena.redis.client() as client:
        return len(client.client_list())


def _flat(trial: Trial, before: dict[str, tuple[int, Cost]]) -> None:
    """No worker holds much more than before; pools need some seconds to let go."""
    workers = trial.arena.fleet.workers

    def more() -> list[str]:
        found = []
        for name, (pid, was) in before.items():
            if workers[name].process.pid != pid:
                found.append(f"{name} ended on the way")
                continue
            now = cost_of(pid)
            threads = now.threads - was.threads
            # Each new thread keeps a connection to the ledger besides.
            grown = (now.memory - was.memory, now.files - was.files - max(0, threads), threads)
            if any(more > most for more, most in zip(grown, ALLOWED, strict=True)):
                found.append(f"{name}: {was} became {now}")
        return found

    if not wait_until(lambda: not more(), seconds=15):
        trial.check(False, "; ".join(more()))


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
