"""An exhaustive model of the run ledger: every interleaving of two workers, with crashes and a lossy broker.

It shares no code with the workers. One run has two batches; the workers are interchangeable and take any doorbell.
What corresponds to what:

    model                       Lua step (unstract_worker_core/ledger/scripts)
    ------------------------    ---------------------------------------------------------------------------
    deliver a "start" bell      claim_run in ACCEPTED: fence + 1, refused while a lease lives
    "rows", then "arm"          keyed effects at the backend; arm flips ACCEPTED to ARMED for the lease's holder
    deliver a batch bell        claim_batch: closed, done and busy are harmless; else fence + 1
    "execute", then "record"    keyed effect; record_file and complete_batch in one: lower fence refused, first
                                outcome wins, READY exactly when every batch has an outcome
    deliver a "callback" bell   claim_run in READY
    "read" .. "finish"          finaliser: status read, written, read back; keyed notification; finish makes it DONE
    sweep                       look: rings whatever has no live lease; after DONE the second read-back, then settle
    lapse                       a lease's end by Redis's clock: at once for a dead holder, a fault for a paused one

Each Lua script is atomic in Redis, so it is one transition here; whatever a worker does between two scripts is
another, and it may crash, pause or be overtaken in between. Bells are counted, not ordered: any may come first.
`Rules` switches parts of the protocol off, to see that the model finds what they are there for (variants.py).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

ACCEPTED, ARMED, READY, DONE = range(4)
BATCHES = (0, 1)
START, CALLBACK = "start", "callback"
BELLS = (START, CALLBACK, *BATCHES)


class Rules(NamedTuple):
    """The parts of the protocol, each of which can be taken away."""

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
    """Who may write: the holder of the newest fence. `live`: nobody else may claim."""

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
    bells: tuple[int, ...] = (1, *(0,) * (len(BELLS) - 1))  # whoever accepted the run has rung "start"
    workers: tuple[Worker, ...] = ()
    rows: int = 0
    executed: tuple[int, ...] = (0,) * len(BATCHES)
    notified: int = 0
    terminal: bool = False
    early: bool = False  # the terminal status was written before every batch had an outcome
    overwritten: bool = False
    settled: bool = False


Step = tuple[str, State]
WORKERS = 2


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


def progress(state: State, rules: Rules) -> Iterator[Step]:
    """Everything that happens by itself, sooner or later."""
    for worker in state.workers:
        yield f"{worker.bell}: {worker.step}", STEPS[worker.step](state, worker, rules)
    if len(state.workers) < WORKERS:
        for bell, count in zip(BELLS, state.bells, strict=True):
            if count:
                yield f"deliver {bell}", claim(ring(state, bell, -1), bell, rules)
    for bell in (START, *BATCHES):
        if lease_of(state, bell).live and not holder_lives(state, bell):
            yield f"lease of {bell} lapses", with_lease(state, bell, live=False)
    if rules.sweeper:
        yield from sweep(state, rules)


def faults(state: State) -> Iterator[Step]:
    """Everything that goes wrong, while the budget lasts."""
    left = state.budget
    for worker in set(state.workers) if left.crashes else ():
        yield f"{worker.bell}: crash", spend(idle(state, worker), "crashes")
    for bell in (START, *BATCHES) if left.pauses else ():
        if lease_of(state, bell).live and holder_lives(state, bell):
            yield f"pause past the lease of {bell}", spend(with_lease(state, bell, live=False), "pauses")
    for bell, count in zip(BELLS, state.bells, strict=True):
        if count and left.losses:
            yield f"lose {bell}", spend(ring(state, bell, -1), "losses")
        if count and left.doubles:
            yield f"double {bell}", spend(ring(state, bell), "doubles")
    if left.late_writes and state.rows and not state.settled:
        yield "late EXECUTING", spend(state._replace(terminal=False), "late_writes")


def sweep(state: State, rules: Rules) -> Iterator[Step]:
    """Ring for whatever has no live lease and no bell; after DONE look at the status once more."""
    if state.phase == DONE and not state.settled and not state.workers:
        # The recheck waits longer than any request may take: no late write comes after it.
        quiet = spend(state, "late_writes", everything=True)
        yield "recheck", quiet._replace(settled=True, terminal=state.terminal or rules.second_read_back)
    wanted: tuple[str | int, ...] = ()
    if state.phase == ARMED:
        wanted = tuple(batch for batch in BATCHES if not (state.outcomes[batch] or state.batches[batch].live))
    elif state.phase in (ACCEPTED, READY) and not state.run.live:
        wanted = (START if state.phase == ACCEPTED else CALLBACK,)
    for bell in wanted:
        if not state.bells[BELLS.index(bell)]:
            yield f"sweep rings {bell}", ring(state, bell)


def claim(state: State, bell: str | int, rules: Rules) -> State:
    """claim_run and claim_batch; a refused claim has consumed its bell and changes nothing else."""
    lease = lease_of(state, bell)
    wanted, first = {START: (ACCEPTED, "rows"), CALLBACK: (READY, "read")}.get(str(bell), (ARMED, "execute"))
    known = isinstance(bell, int) and rules.outcome_set and state.outcomes[bell]
    if state.phase != wanted or lease.live or known:
        return state
    claimed = with_lease(state, bell, live=True, fence=lease.fence + 1)
    return busy(claimed, Worker(bell, lease.fence + 1, first))


# The orchestrator's steps.


def rows(state: State, worker: Worker, rules: Rules) -> State:
    return then(state._replace(rows=apply(state.rows, rules)), worker, "arm")


def arm(state: State, worker: Worker, rules: Rules) -> State:
    if state.phase != ACCEPTED or not holds(state, worker, rules):
        return idle(state, worker)
    return then(with_lease(state, START, live=False)._replace(phase=ARMED), worker, "ring 0")


def ring_first(state: State, worker: Worker, rules: Rules) -> State:
    return then(ring(state, 0), worker, "ring 1")


def ring_second(state: State, worker: Worker, rules: Rules) -> State:
    return idle(ring(state, 1), worker)


# The file worker's steps.


def execute(state: State, worker: Worker, rules: Rules) -> State:
    executed = replaced(state.executed, worker.bell, apply(state.executed[int(worker.bell)], rules))
    return then(state._replace(executed=executed), worker, "record")


def record(state: State, worker: Worker, rules: Rules) -> State:
    batch = int(worker.bell)
    before = state.outcomes[batch]
    if not holds(state, worker, rules) or (rules.fence and (state.phase != ARMED or (before and rules.outcome_set))):
        return idle(state, worker)
    overwritten = rules.outcome_set and before not in (0, worker.fence)
    state = state._replace(
        outcomes=replaced(state.outcomes, batch, worker.fence),
        overwritten=state.overwritten or overwritten,
        counter=state.counter - 1,
    )
    state = with_lease(state, batch, live=False)
    ready = all(state.outcomes) if rules.outcome_set else state.counter <= 0
    if not ready or state.phase != ARMED:
        return idle(state, worker)
    return then(state._replace(phase=READY), worker, "ring callback")


def ring_callback(state: State, worker: Worker, rules: Rules) -> State:
    return idle(ring(state, CALLBACK), worker)


# The finaliser's steps.


def read(state: State, worker: Worker, rules: Rules) -> State:
    return then(state, worker, "notify" if state.terminal else "write")


def write(state: State, worker: Worker, rules: Rules) -> State:
    early = state.early or not all(state.outcomes)
    return then(state._replace(terminal=True, early=early), worker, "read")


def notify(state: State, worker: Worker, rules: Rules) -> State:
    return then(state._replace(notified=apply(state.notified, rules)), worker, "finish")


def finish(state: State, worker: Worker, rules: Rules) -> State:
    if state.phase == READY and holds(state, worker, rules):
        state = with_lease(state, CALLBACK, live=False)._replace(phase=DONE)
    return idle(state, worker)


STEPS: dict[str, Callable[[State, Worker, Rules], State]] = {
    "rows": rows, "arm": arm, "ring 0": ring_first, "ring 1": ring_second,
    "execute": execute, "record": record, "ring callback": ring_callback,
    "read": read, "write": write, "notify": notify, "finish": finish,
}  # fmt: skip


# What the steps are made of.


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
