"""What a worker does between two moments at which it may crash; each function is atomic."""

from collections.abc import Callable

from .state import (
    ACCEPTED,
    ARMED,
    CALLBACK,
    DONE,
    READY,
    START,
    Rules,
    State,
    Worker,
    apply,
    busy,
    holds,
    idle,
    lease_of,
    replaced,
    ring,
    then,
    with_lease,
)


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
