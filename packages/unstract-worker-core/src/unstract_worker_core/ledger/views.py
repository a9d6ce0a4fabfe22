"""What an operator sees of a run. Payloads, file names' contents and webhook arguments are no part of it."""

import json
from collections.abc import Collection, Iterator, Mapping

from attrs import frozen

from unstract_worker_core.ledger.records import FinalState, RunState, RunTask
from unstract_worker_core.statuses import RunKind

FIELDS = (
    "state", "task", "kind", "organization", "n", "attempts", "owner", "lease_ends", "accepted_at", "progress", "stop",
    "last_error", "epoch", "rings", "final", "done_at",
)  # fmt: skip


@frozen
class PendingAnswer:
    """A file whose executor has not answered yet.

    Attributes:
        number: the file's.
        published: whether the broker confirmed the request; else a worker may have died while it sent it.
        age: since the request was published, or else intended. `left`: how long the answer is still awaited.
    """

    number: int
    published: bool
    age: float
    left: float


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
        answers_pending: the files that wait for an executor's answer, the oldest request first.
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
    """One batch of an armed run. `files` are numbers; `rung` counts doorbells that no claim answered yet."""

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


@frozen
class RawRun:
    """What Redis said about one run, and when. `leases`: JSON records by batch."""

    run_id: str
    meta: dict[str, str]
    done: int
    leases: dict[str, str]
    due: float | None
    now: float

    def number(self, field: str) -> float:
        """A number of the record; 0 where there is none."""
        return float(self.meta.get(field) or 0)


@frozen
class Work:
    """The batches' side of a run: what has an outcome, what was rung, and when each batch is due."""

    done: set[str]
    recorded: set[str]
    rung: dict[str, str]
    rings: dict[str, float]

    def batch(self, raw: RawRun, number: int, text: str | None) -> BatchView:
        """One batch; `text` is its record."""
        key = str(number)
        numbers = tuple(int(file["number"]) for file in json.loads(text)) if text else ()
        lease = json.loads(raw.leases.get(key, "{}"))
        ends = float(lease.get("ends") or 0)
        live, due = bool(lease.get("owner")) and ends > raw.now, self.rings.get(key)
        return BatchView(
            number=number,
            files=numbers,
            recorded=sum(str(file) in self.recorded for file in numbers),
            done=key in self.done,
            owner=owner_of(lease["owner"]) if live else "",
            lease_seconds=(ends - raw.now) / 1000 if live else None,
            file_in_flight=int(lease.get("file") or 0) or None,
            rung=int(self.rung.get(key, 0)),
            next_ring=None if due is None or key in self.done else (due - raw.now) / 1000,
        )


def raw_run(
    run_id: str, now: float, values: list[str | None], done: int, leases: dict[str, str], due: float | None
) -> RawRun | None:
    """What the answers for one run say; `values` are those of FIELDS, None where the ledger does not know it."""
    meta = {name: value for name, value in zip(FIELDS, values, strict=True) if value is not None}
    return RawRun(run_id, meta, int(done), leases, due, now) if "state" in meta else None


def pending_answers(now: float, requests: Mapping[str, str], answered: Collection[str]) -> tuple[PendingAnswer, ...]:
    """The requests that are awaited at `now` (milliseconds). `answered`: numbers of files that have their answer."""
    open_ones = ((int(number), json.loads(text)) for number, text in requests.items() if number not in answered)
    pending = (
        PendingAnswer(number, one["state"] == "published", (now - one["at"]) / 1000, (one["expires"] - now) / 1000)
        for number, one in open_ones
        if one["state"] != "given_up"
    )
    return tuple(sorted((each for each in pending if each.left > 0), key=lambda each: -each.age))


def view_of(raw: RawRun) -> RunView:
    """A run as a line of a table."""
    meta = raw.meta
    return RunView(
        run_id=raw.run_id,
        state=RunState(meta["state"]),
        task=RunTask(meta["task"]),
        kind=RunKind(meta["kind"]),
        organization_id=meta.get("organization", ""),
        batches=int(raw.number("n")),
        done=raw.done,
        attempts=int(raw.number("attempts")),
        owners=tuple(sorted(set(_owners(raw)))),
        age=(raw.now - raw.number("accepted_at")) / 1000,
        idle=(raw.now - raw.number("progress")) / 1000,
        next_look=None if raw.due is None else (raw.due - raw.now) / 1000,
        stop=meta.get("stop") == "1",
        last_error=meta.get("last_error", ""),
    )


def _owners(raw: RawRun) -> Iterator[str]:
    if raw.meta.get("owner") and raw.number("lease_ends") > raw.now:
        yield owner_of(raw.meta["owner"])
    for text in raw.leases.values():
        lease = json.loads(text)
        if lease.get("owner") and float(lease.get("ends") or 0) > raw.now:
            yield owner_of(lease["owner"])


def seconds_since(raw: RawRun, field: str) -> float | None:
    """How long ago the time in this field of the record was; None where it is not set."""
    return (raw.now - raw.number(field)) / 1000 if raw.meta.get(field) else None
