"""What operators are shown of runs: a line of a table, all of one run, a page. `ledger.operator` reads them."""

from attrs import frozen

from unstract_worker_core.ledger.records import FinalState, RunState, RunTask
from unstract_worker_core.statuses import RunKind


@frozen
class PendingAnswer:
    """A file, by its number, whose executor has not answered yet.

    `published`: whether the broker confirmed the request; else a worker may have died while it sent it. `age`: seconds
    since it was published, or else intended. `left`: seconds for which the answer is still awaited.
    """

    number: int
    published: bool
    age: float
    left: float


@frozen
class RunView:
    """One run as a line of a table. Seconds are by Redis's clock.

    `done`: batches with an outcome, of `batches`. `attempts`: claims of the run itself that failed or lapsed. `owners`:
    who holds a live lease on the run or its batches (instance and process). `age`: since it was accepted. `idle`: since
    anything was written about it. `next_look`: until it is due; negative: overdue; None: never. `stop`: whether no
    further file starts. `answers_pending`: files that wait for an executor's answer, the oldest request first.
    """

    run_id: str
    state: RunState
    task: RunTask
    kind: RunKind
    organization_id: str
    batches: int
    done: int
    attempts: int
    owners: tuple[str, ...]
    age: float
    idle: float
    next_look: float | None
    stop: bool
    last_error: str = ""
    answers_pending: tuple[PendingAnswer, ...] = ()


@frozen
class BatchView:
    """A batch of an armed run. `files` are numbers; `rung` counts doorbells that no claim answered yet."""

    number: int
    files: tuple[int, ...]
    recorded: int
    done: bool
    owner: str
    lease_seconds: float | None
    file_in_flight: int | None
    rung: int
    next_ring: float | None


@frozen
class RunDetail:
    """All that is shown of one run. `charges`: how often a lease lapsed on a file, by number. `final`: how it ended."""

    run: RunView
    epoch: int
    rings: int
    journal: tuple[str, ...] = ()
    workflow_id: str = ""
    pipeline_id: str | None = None
    total_files: int = 0
    batches: tuple[BatchView, ...] = ()
    charges: tuple[tuple[int, int], ...] = ()
    final: FinalState | None = None
    done_ago: float | None = None


@frozen
class Page:
    """Some of the open runs, the longest due first. `open`: how many there are; `next_offset`: where to go on."""

    runs: tuple[RunView, ...]
    open: int
    next_offset: int | None


@frozen
class Retried:
    """What asking for another look did. `held`: the leases that are live and were left alone."""

    state: RunState | None
    held: int
