"""What the page shows, free of where it was read. Times are seconds since the epoch."""

from attrs import field, frozen


@frozen
class ExecutionLine:
    """An execution. `number` grows with each; `seconds` is what the backend counted, None before the end.

    `channel` is where its log events go; `ended` and `failed` count files while it runs, and uploads
    once it is terminal. `deployment` is the name of the API deployment, pipeline or workflow, `first_file` that of its
    first file as soon as it has a row.
    """

    number: int
    id: str
    kind: str
    deployment: str
    first_file: str
    organization: str
    status: str
    total: int
    ended: int
    failed: int
    error: str
    created: float
    seconds: float | None
    channel: str
    workflow_id: str = ""
    pipeline_id: str = ""

    @property
    def title(self) -> str:
        """What people know it by: the files that were uploaded, else the pipeline."""
        if self.kind != "API" or not self.first_file:
            return self.deployment
        more = self.total - 1
        return self.first_file if more < 1 else f"{self.first_file} and {more} more"

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self.seconds is not None


@frozen
class FileLine:
    """A file of an execution; `summary` is what was extracted, in a few words."""

    id: str
    name: str
    path: str
    status: str
    size: int | None
    seconds: float | None
    error: str
    summary: str
    has_result: bool = False


@frozen
class Event:
    """Something that happened: who says so (worker, backend, webhook), and what."""

    key: str
    at: float
    source: str
    level: str
    text: str


@frozen
class Hook:
    """A webhook as it arrived at the sink; empty strings where the body does not say."""

    key: str
    at: float
    path: str
    status: str
    about: str
    execution_id: str


@frozen
class Batch:
    """One batch of a run: who holds it until when, and which file (by number) is in flight."""

    index: int
    done: bool
    owner: str
    fence: int
    ends: float | None
    file: int | None


@frozen
class Run:
    """A run of the ledger. What the ledger does not say is empty or None; what is not known here is in `others`."""

    id: str
    state: str
    task: str
    kind: str
    organization: str
    epoch: int | None
    batches: int | None
    done: int | None
    attempts: int | None
    fence: int | None
    owner: str
    lease_ends: float | None
    accepted: float | None
    next_look: float | None
    stopped: bool
    last_error: str
    details: tuple[Batch, ...] = ()
    others: tuple[tuple[str, str], ...] = ()


@frozen
class DeadLetter:
    """A message that could not be processed."""

    task: str
    queue: str
    reason: str
    at: str


@frozen
class LedgerState:
    """The ledger as a whole: how many runs are open, some of them, and the dead letters."""

    total: int = 0
    runs: tuple[Run, ...] = ()
    letters: tuple[DeadLetter, ...] = ()
    letters_total: int = 0
    problem: str = ""


@frozen
class WorkerLine:
    """A worker process that was started with the stack."""

    name: str
    running: bool
    health_url: str = field(default="")
