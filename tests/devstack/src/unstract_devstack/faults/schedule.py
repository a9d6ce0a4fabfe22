"""The nemesis's schedule: computed from the seed before anything starts, so that a seed always gives the same one."""

import random
from collections.abc import Sequence
from enum import StrEnum

from attrs import frozen


class Kind(StrEnum):
    """What can be done to the fleet and to the servers under it."""

    KILL_FILES = "kill_file_worker"
    KILL_CALLBACK = "kill_callback_worker"
    KILL_START = "kill_orchestrator"
    FREEZE_WORKER = "freeze_worker"
    KILL_REDIS = "kill_redis"
    CUT_REDIS_LOG = "cut_redis_log"
    FLUSH_REDIS = "flush_redis"
    FREEZE_REDIS = "freeze_redis"
    DROP_DOORBELLS = "drop_doorbells"
    DROP_UNACKED = "drop_unacked"
    DUPLICATE = "duplicate_messages"
    LATE = "late_messages"
    OUTAGE = "backend_outage"
    CUT_AFTER = "backend_cut_after_applying"


KILLS = (Kind.KILL_FILES, Kind.KILL_FILES, Kind.KILL_FILES, Kind.KILL_CALLBACK, Kind.KILL_START)
RANDOM_KINDS = (
    Kind.FREEZE_WORKER,
    Kind.KILL_REDIS,
    Kind.FREEZE_REDIS,
    Kind.DROP_DOORBELLS,
    Kind.DUPLICATE,
    Kind.LATE,
    Kind.OUTAGE,
    Kind.CUT_AFTER,
)
LENGTHS = {Kind.FREEZE_WORKER: (2.0, 9.0), Kind.FREEZE_REDIS: (1.0, 6.0), Kind.OUTAGE: (2.0, 8.0)}


@frozen
class Action:
    """One fault.

    Attributes:
        at: seconds after the start of the run.
        kind: what.
        target: which, counted over those there are.
        length: seconds until it is over; for a kill, until the restart.
        amount: how much: messages, requests, or bytes of Redis's log.
    """

    at: float
    kind: Kind
    target: int
    length: float
    amount: int

    def __str__(self) -> str:
        return f"{self.at:7.2f} s  {self.kind} target={self.target} length={self.length:.2f} amount={self.amount}"


def plan(seed: int, *, kills: int, seconds: float, kinds: Sequence[Kind] = RANDOM_KINDS) -> tuple[Action, ...]:
    """`kills` kills of workers and half as many faults of `kinds`, spread over `seconds`, in order of time."""
    chance = random.Random(f"schedule {seed}")
    chosen = [KILLS[number % len(KILLS)] for number in range(kills)]
    if kinds:
        others = list(kinds)
        chance.shuffle(others)
        chosen.extend(others[number % len(others)] for number in range(max(kills // 2, len(others))))
    actions = [_action(chance, kind, seconds) for kind in chosen]
    return tuple(sorted(actions, key=lambda action: action.at))


def _action(chance: random.Random, kind: Kind, seconds: float) -> Action:
    shortest, longest = LENGTHS.get(kind, (0.0, 2.0))
    amount = chance.randint(64 * 1024, 1024 * 1024) if kind is Kind.CUT_REDIS_LOG else chance.randint(1, 5)
    return Action(
        at=round(chance.uniform(1.0, max(1.0, seconds)), 3),
        kind=kind,
        target=chance.randrange(1000),
        length=round(chance.uniform(shortest, longest), 3),
        amount=amount,
    )
