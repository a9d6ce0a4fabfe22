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

from collections.abc import Iterator

from .state import (
    ACCEPTED,
    ARMED,
    BATCHES,
    BELLS,
    CALLBACK,
    DONE,
    READY,
    START,
    Rules,
    State,
    holder_lives,
    idle,
    lease_of,
    ring,
    spend,
    with_lease,
)
from .steps import STEPS, claim

Step = tuple[str, State]
WORKERS = 2


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
    """Ring for whatever has no live lease and no bell; after DONE look at the status again."""
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
