"""Random faults by a schedule, which a seed gives before anything starts: the same seed always gives the same one."""

import contextlib
import heapq
import random
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

import redis
from attrs import frozen

from unstract_devstack.faults.arena import Arena
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL

DOORBELL_QUEUES = ("uw_orchestrate_api", "uw_orchestrate", "uw_files", "uw_api_files", "uw_callback", "uw_deliver")
WRITES = r"^/internal/.*(execute-file|update_status|status|enqueue|create|mark)"


class Kind(StrEnum):
    """What can be done to the fleet and to the servers under it."""

    KILL_FILES = "kill_file_worker"
    KILL_CALLBACK = "kill_callback_worker"
    KILL_START = "kill_orchestrator"
    FREEZE_WORKER = "freeze_worker"
    KILL_REDIS = "kill_redis"
    FREEZE_REDIS = "freeze_redis"
    DROP_DOORBELLS = "drop_doorbells"
    DUPLICATE = "duplicate_messages"
    LATE = "late_messages"
    OUTAGE = "backend_outage"
    CUT_AFTER = "backend_cut_after_applying"


KILLS = (Kind.KILL_FILES, Kind.KILL_FILES, Kind.KILL_FILES, Kind.KILL_CALLBACK, Kind.KILL_START)
RANDOM_KINDS = tuple(kind for kind in Kind if kind not in KILLS)
VICTIMS = {
    Kind.KILL_FILES: (FILE_PROCESSING,),
    Kind.KILL_CALLBACK: (CALLBACK,),
    Kind.KILL_START: (API_DEPLOYMENT, GENERAL),
    Kind.FREEZE_WORKER: (FILE_PROCESSING, CALLBACK, API_DEPLOYMENT, GENERAL),
}
LENGTHS = {Kind.FREEZE_WORKER: (2.0, 9.0), Kind.FREEZE_REDIS: (1.0, 6.0), Kind.OUTAGE: (2.0, 8.0)}
# What is to be done once a fault is over.
Over = Callable[[], None] | None


@frozen
class Action:
    """One fault.

    Attributes:
        at: seconds after the start of the run.
        kind: what.
        target: which, counted over those there are.
        length: seconds until it is over; for a kill, until the restart.
        amount: how much: messages or requests.
    """

    at: float
    kind: Kind
    target: int = 0
    length: float = 0.0
    amount: int = 0

    def __str__(self) -> str:
        return f"{self.at:7.2f} s  {self.kind} target={self.target} length={self.length:.2f} amount={self.amount}"


def plan(seed: int, *, kills: int, seconds: float, kinds: Sequence[Kind] = RANDOM_KINDS) -> tuple[Action, ...]:
    """`kills` kills of workers and half as many faults of `kinds`, spread over `seconds`, in order of time."""
    chance = random.Random(f"schedule {seed}")
    others = list(kinds)
    chance.shuffle(others)
    chosen = [KILLS[number % len(KILLS)] for number in range(kills)]
    chosen += [others[number % len(others)] for number in range(max(kills // 2, len(others)))]
    actions = [
        Action(
            kind=kind,
            amount=chance.randint(1, 5),
            at=round(chance.uniform(1.0, max(1.0, seconds)), 3),
            target=chance.randrange(1000),
            length=round(chance.uniform(*LENGTHS.get(kind, (0.0, 2.0))), 3),
        )
        for kind in chosen
    ]
    return tuple(sorted(actions, key=lambda action: action.at))


def unleash(arena: Arena, actions: Sequence[Action]) -> None:
    """Does all of it at its times; returns once every action is over, while workers may still be starting.

    To be called in the main thread: processes that it starts are tied to the thread.
    """
    began = time.monotonic()
    steps: list[tuple[float, int, Callable[[], Over]]]
    steps = [(began + action.at, number, partial(_begin, arena, action)) for number, action in enumerate(actions)]
    heapq.heapify(steps)
    while steps:
        at, number, step = heapq.heappop(steps)
        time.sleep(max(0.0, at - time.monotonic()))
        over = step()
        if over is not None:
            heapq.heappush(steps, (time.monotonic() + actions[number].length, number, over))


def _begin(arena: Arena, action: Action) -> Over:
    if action.kind in VICTIMS:
        return _hit_worker(arena, action)
    if action.kind is Kind.OUTAGE:
        arena.fault("status", "^/internal/", status=503, seconds=action.length)
    elif action.kind is Kind.CUT_AFTER:
        arena.fault("cut_after", WRITES, method="POST", count=action.amount, seconds=5)
    elif action.kind in (Kind.DUPLICATE, Kind.LATE):
        heard = arena.tap.heard()
        # Late: those of the beginning, whose runs may be over. Duplicate: the newest.
        chosen = heard[: 10 * action.amount] if action.kind is Kind.LATE else heard[-10 * action.amount :]
        arena.did(action.kind, f"{len(chosen)} messages pushed again")
        arena.tap.push(chosen)
    elif arena.redis.running:
        return _hit_redis(arena, action)
    return None


def _hit_worker(arena: Arena, action: Action) -> Over:
    victims = [worker for kind in VICTIMS[action.kind] for worker in arena.fleet.of(kind)]
    victim = victims[action.target % len(victims)]
    if not victim.running:
        return None
    arena.did(action.kind, f"{victim.name} for {action.length:.1f} s")
    if action.kind is Kind.FREEZE_WORKER:
        victim.process.freeze()
        return victim.process.thaw
    victim.kill()
    return lambda: None if victim.running else victim.start()


def _hit_redis(arena: Arena, action: Action) -> Over:
    arena.did(action.kind, f"for {action.length:.1f} s")
    if action.kind is Kind.FREEZE_REDIS:
        arena.redis.process.freeze()
        return arena.redis.process.thaw
    if action.kind is Kind.KILL_REDIS:
        arena.redis.kill()
        arena.redis.start()
    else:
        # Frozen just now: then this fault does not take place.
        with contextlib.suppress(redis.RedisError), arena.redis.client(timeout=1.0) as client:
            client.delete(*DOORBELL_QUEUES)
    return None


def cut_log(arena: Arena, size: int) -> None:
    """Loses the last `size` bytes of Redis's log, as a loss of power may: kill, cut, start."""
    arena.redis.kill()
    log = _log(arena)
    with log.open("r+b") as file:
        file.truncate(max(0, log.stat().st_size - size))
    arena.redis.start()


def log_size(arena: Arena) -> int:
    """How many bytes Redis has logged since it last rewrote its log."""
    return _log(arena).stat().st_size


def _log(arena: Arena) -> Path:
    logs = Path(arena.redis.directory, "appendonlydir").glob("*.incr.aof")
    return max(logs, key=lambda path: path.stat().st_mtime)
