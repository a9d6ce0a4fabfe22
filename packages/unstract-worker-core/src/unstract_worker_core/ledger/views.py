"""What an operator sees of a run. Payloads, file names' contents and webhook arguments are no part of it."""

from attrs import frozen

from unstract_worker_core.ledger.records import FinalState, RunState, RunTask
from unstract_worker_core.statuses import RunKind

__all__ = ["BatchView", "Page", "RunDetail", "RunView", "owner_of"]


@frozen
class RunView:
    """One run as a line of a table. Seconds are by Redis's clock.

    Attributes:
        done: batches with an outcome, of `batches`.
        attempts: claims of the run itself that failed or lapsed.
        owners: who holds a live lease: on the run, or on batches of it (instance and process).
        age: since it was accepted. `idle`: since anything was written about it.
        next_look: until the sweeper looks; negative: overdue; None: never.
        stop: whether no further file starts.
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


@frozen
class BatchView:
    """One batch of an armed run. `files` are numbers; `rung` counts doorbells that nobody answered yet."""

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


def owner_of(token: str) -> str:
    """Instance and process in a claim's token (see `Runtime.token`); the rest tells claims apart."""
    instance, _, rest = token.partition(":")
    process = rest.partition(":")[0]
    return f"{instance}:{process}" if process else instance
