"""One state of the model: Redis, the broker, the workers and the backend; and small changes of it."""

from typing import NamedTuple

ACCEPTED, ARMED, READY, DONE = range(4)
BATCHES = (0, 1)
START, CALLBACK = "start", "callback"
BELLS = (START, CALLBACK, *BATCHES)


class Rules(NamedTuple):
    """The parts of the protocol; each can be switched off."""

    sweeper: bool = True
    keys: bool = True
    outcome_set: bool = True  # else a counter that each completion decrements
    fence: bool = True
    second_read_back: bool = True


class Budget(NamedTuple):
    """How many faults of each kind may still happen."""

    crashes: int = 2
    pauses: int = 1
    losses: int = 1
    doubles: int = 1
    late_writes: int = 1  # a slow EXECUTING request that reaches the backend after the terminal one


class Lease(NamedTuple):
    """Who may write: the holder of the newest fence. `live`: no other worker may claim."""

    fence: int = 0
    live: bool = False


class Worker(NamedTuple):
    """What a busy worker holds and which step it does next; an idle one is not listed."""

    bell: str | int
    fence: int
    step: str


class State(NamedTuple):
    """Redis, the broker, the workers and the backend."""

    budget: Budget
    phase: int = ACCEPTED
    run: Lease = Lease()
    batches: tuple[Lease, ...] = (Lease(),) * len(BATCHES)
    outcomes: tuple[int, ...] = (0,) * len(BATCHES)  # the fence that recorded it, 0: none
    counter: int = len(BATCHES)
    bells: tuple[int, ...] = (1, *(0,) * (len(BELLS) - 1))  # the accepting worker has rung "start"
    workers: tuple[Worker, ...] = ()
    rows: int = 0
    executed: tuple[int, ...] = (0,) * len(BATCHES)
    notified: int = 0
    terminal: bool = False
    early: bool = False  # the terminal status was written before every batch had an outcome
    overwritten: bool = False
    settled: bool = False


def bad(state: State) -> str:
    """What must never be, in any state."""
    if state.early:
        return "terminal before all outcomes"
    if state.overwritten:
        return "outcome overwritten"
    if max(state.rows, state.notified, *state.executed) > 1:
        return "effect applied twice"
    return ""


def complete(state: State) -> bool:
    """What every state without a further step must be: ended, with each effect applied exactly once."""
    once = all(count == 1 for count in (state.rows, state.notified, *state.executed))
    return state.phase == DONE and state.terminal and once and all(state.outcomes)


def apply(count: int, rules: Rules) -> int:
    """An effect at the backend: with a key, a repetition is answered and not applied."""
    return count if rules.keys and count else count + 1


def lease_of(state: State, bell: str | int) -> Lease:
    return state.batches[bell] if isinstance(bell, int) else state.run


def with_lease(state: State, bell: str | int, *, live: bool, fence: int | None = None) -> State:
    lease = Lease(lease_of(state, bell).fence if fence is None else fence, live)
    if isinstance(bell, int):
        return state._replace(batches=(*state.batches[:bell], lease, *state.batches[bell + 1 :]))
    return state._replace(run=lease)


def holds(state: State, worker: Worker, rules: Rules) -> bool:
    return not rules.fence or lease_of(state, worker.bell).fence == worker.fence


def holder_lives(state: State, bell: str | int) -> bool:
    fence = lease_of(state, bell).fence
    same = (lambda other: other == bell) if isinstance(bell, int) else (lambda other: isinstance(other, str))
    return any(same(worker.bell) and worker.fence == fence for worker in state.workers)


def ring(state: State, bell: str | int, count: int = 1) -> State:
    index = BELLS.index(bell)
    return state._replace(bells=replaced(state.bells, index, state.bells[index] + count))


def busy(state: State, worker: Worker) -> State:
    # Workers are interchangeable: their order says nothing, and leaving it out halves the states.
    return state._replace(workers=tuple(sorted((*state.workers, worker), key=order)))


def order(worker: Worker) -> tuple[str, int, str]:
    return (str(worker.bell), worker.fence, worker.step)


def idle(state: State, worker: Worker) -> State:
    left = list(state.workers)
    left.remove(worker)
    return state._replace(workers=tuple(left))


def then(state: State, worker: Worker, step: str) -> State:
    return busy(idle(state, worker), worker._replace(step=step))


def spend(state: State, fault: str, *, everything: bool = False) -> State:
    left = 0 if everything else getattr(state.budget, fault) - 1
    return state._replace(budget=state.budget._replace(**{fault: left}))


def replaced(values: tuple[int, ...], index: str | int, value: int) -> tuple[int, ...]:
    return (*values[: int(index)], value, *values[int(index) + 1 :])
