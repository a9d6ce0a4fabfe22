"""Runs as text and as JSON. Messages are no part of either: they may carry credentials."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from attrs import asdict, evolve, frozen

from unstract_worker_core.fleet import FleetMember, Heartbeat
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.ledger.views import BatchView, Page, PendingAnswer, RunDetail, RunView
from unstract_worker_core.operator.console import EXIT_UNKNOWN, Access, duration, fail, only_match, refuse_short, table
from unstract_worker_core.statuses import RunKind, WorkerType

_COLUMNS = ("run", "task", "state", "batches", "attempts", "held by", "age", "next look", "organization", "reason")
_ROWS_LISTED = 10
_BATCH_COLUMNS = ("batch", "files", "recorded", "state", "held by", "lease", "file", "rung", "next ring")


def why_it_waits(run: RunView, members: Sequence[FleetMember]) -> str:
    """The reason, for the column of `runs`; empty for a run that has ended."""
    if run.state is RunState.DONE:
        return ""
    alive = [member.heartbeat for member in members if member.alive]
    silent = [call for heartbeat in alive for call in heartbeat.silent_calls if run.run_id in call]
    if silent or run.owners:
        return silent[0] if silent else "working"
    needed = _next_worker(run)
    able = [heartbeat for heartbeat in alive if heartbeat.worker == needed.value]
    return _why_unowned(run, needed.value.replace("_", "-"), able)


def _why_unowned(run: RunView, worker: str, able: Sequence[Heartbeat]) -> str:
    """`able`: the live workers of the type that takes the next step."""
    if not able:
        return f"no {worker} worker is alive"
    if run.answers_pending:
        oldest, more = run.answers_pending[0], len(run.answers_pending) - 1
        others = f"; so do {more} more" if more else ""
        return f"file {oldest.number} waits for the executor's answer, for {duration(oldest.age)} so far{others}"
    if run.last_error:
        return f"put off: {run.last_error}"
    if all(heartbeat.backend != "closed" for heartbeat in able):
        return f"the backend does not answer: circuit breaker open in {len(able)} worker(s)"
    if all(heartbeat.running >= heartbeat.slots for heartbeat in able):
        return f"all {sum(one.slots for one in able)} slots of {len(able)} {worker} worker(s) are in use"
    return "its doorbell is on the way"


def _next_worker(run: RunView) -> WorkerType:
    if run.task is RunTask.WEBHOOK:
        return WorkerType.GENERAL
    if run.state is RunState.READY or run.stop:  # the callback worker's sweeper ends what was stopped
        return WorkerType.CALLBACK
    if run.state is RunState.ARMED:
        return WorkerType.FILE_PROCESSING
    return WorkerType.API_DEPLOYMENT if run.kind is RunKind.API else WorkerType.GENERAL


@frozen
class RunFilter:
    """Which runs are listed. None: any."""

    state: RunState | None = None
    task: RunTask | None = None
    organization: str | None = None
    overdue: bool = False

    def __call__(self, run: RunView) -> bool:
        """Whether this run is listed."""
        return (
            self.state in (None, run.state)
            and self.task in (None, run.task)
            and self.organization in (None, run.organization_id)
            and not (self.overdue and (run.next_look is None or run.next_look > 0))
        )


def page_as_json(page: Page, access: Access) -> str:
    """``{"open", "next_offset", "runs": [...]}``; seconds are numbers."""
    members = access.fleet.members()
    listed = [access.redactor.value({**asdict(run), "reason": why_it_waits(run, members)}) for run in page.runs]
    return json.dumps({"open": page.open, "next_offset": page.next_offset, "runs": listed})


def page_as_text(page: Page, access: Access) -> str:
    """A table and a line that says how many there are."""
    members = access.fleet.members()
    rows = (_row(run, why_it_waits(run, members), access) for run in page.runs)
    shown = table(_COLUMNS, rows, terminal=sys.stdout.isatty())
    more = "" if page.next_offset is None else f"; more: --offset {page.next_offset}"
    return f"{shown}\n{len(page.runs)} shown, {page.open} open{more}"


def show_run(access: Access, given: str, *, as_json: bool) -> str:
    """One run, named as for `find_run`."""
    detail = access.operator.detail(find_run(access, given).run_id)
    if detail is None:
        _unknown(given)
    reason = why_it_waits(detail.run, access.fleet.members())
    if as_json:
        batches = [access.redactor.value(asdict(batch)) for batch in detail.batches]  # a list in one would be cut
        facts = asdict(evolve(detail, batches=()))
        return json.dumps({**access.redactor.value({**facts, "reason": reason}), "batches": batches})
    lines = [f"{name:<13}{access.redactor.text(value)}" for name, value in _facts(detail, reason)]
    if detail.batches:
        lines += ["", table(_BATCH_COLUMNS, map(_batch_row, detail.batches), terminal=sys.stdout.isatty())]
        if len(detail.batches) < detail.run.batches:
            lines.append(f"the first {len(detail.batches)} of {detail.run.batches} batches")
    return "\n".join(lines)


def find_run(access: Access, given: str) -> RunView:
    """The run of an id or of the beginning of one; ends the command if there is none or several."""
    refuse_short(given, listed_by="runs")
    run_id = only_match(given, access.operator.matching(given), "runs")
    view = access.operator.view(run_id) if run_id else None
    if view is None:
        _unknown(given)
    return view


def how_it_ended(access: Access, run_id: str) -> str:
    """The tombstone of a finished run, in a sentence."""
    detail = access.operator.detail(run_id)
    final = detail.final if detail else None
    if detail is None or final is None:
        return "it has ended"
    counts = f", {final.successful_files} of {final.total_files} files succeeded" if final.total_files else ""
    error = f": {final.error}" if final.error else ""
    status = final.status.value if final.status else "without a status"
    return access.redactor.text(f"it ended {status} {duration(detail.done_ago)} ago{counts}{error}")


def _unknown(run_id: str) -> NoReturn:
    fail(
        f"the ledger knows no run {run_id}: it never came here, or it ended and its tombstone is gone "
        "(WORKER_TOMBSTONE_SECONDS). Ask the platform for the execution's status.",
        EXIT_UNKNOWN,
    )


def _row(run: RunView, reason: str, access: Access) -> tuple[str, ...]:
    return (
        run.run_id,
        run.task.value,
        f"{run.state.value}{' (stop)' if run.stop else ''}",
        f"{run.done}/{run.batches}" if run.batches else "-",
        str(run.attempts),
        _held_by(run),
        duration(run.age),
        _when(run.next_look),
        run.organization_id or "-",
        access.redactor.text(reason),
    )


def _held_by(run: RunView) -> str:
    if not run.owners:
        return "-"
    return run.owners[0] + (f" and {len(run.owners) - 1} more" if len(run.owners) > 1 else "")


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"in {duration(seconds)}" if seconds > 0 else f"due {duration(-seconds)}"


def _facts(detail: RunDetail, reason: str) -> Iterator[tuple[str, str]]:
    run = detail.run
    yield "run", run.run_id
    yield "state", f"{run.state.value}{', no further file starts (stop)' if run.stop else ''}"
    yield "task", f"{run.task.value} ({run.kind.value})"
    yield "organization", run.organization_id or "-"
    if detail.final is not None:
        final = detail.final
        yield "ended", f"{final.status or 'without a status'}, {duration(detail.done_ago)} ago"
        yield "files", f"{final.total_files}: {final.successful_files} succeeded, {final.failed_files} failed"
        yield "error", final.error or "-"
        return
    yield "workflow", detail.workflow_id or "-"
    yield "pipeline", detail.pipeline_id or "-"
    yield "accepted", f"{duration(run.age)} ago; last written {duration(run.idle)} ago"
    yield "next look", _when(run.next_look)
    yield "held by", ", ".join(run.owners) or "-"
    yield "attempts", f"{run.attempts} failed; rung {detail.rings} times without a claim"
    yield "waits", reason
    yield "last error", run.last_error or "-"
    yield "files", f"{detail.total_files} in {run.batches} batches, {run.done} batches done"
    if detail.charges:
        yield "charged", ", ".join(f"file {number}: {count} times" for number, count in detail.charges)
    for each in run.answers_pending:
        yield "answer", f"of file {each.number}: {_awaited(each)}"
    if detail.journal:
        yield "journal", ", ".join(_journal_entries(detail.journal))


def _awaited(answer: PendingAnswer) -> str:
    sent = "sent" if answer.published else "perhaps sent by a worker that died then or lost the broker,"
    return f"{sent} {duration(answer.age)} ago, awaited for {duration(answer.left)} more"


def _journal_entries(names: Sequence[str]) -> list[str]:
    """The names of the journal; the rows of many files are counted, not listed."""
    rows = [name for name in names if name.startswith("row:")]
    if len(rows) <= _ROWS_LISTED:
        return list(names)
    return [*(name for name in names if not name.startswith("row:")), f"row: of {len(rows)} files"]


def _batch_row(batch: BatchView) -> tuple[str, ...]:
    return (
        str(batch.number),
        str(len(batch.files)),
        str(batch.recorded),
        "done" if batch.done else "working" if batch.owner else "waiting",
        batch.owner or "-",
        duration(batch.lease_seconds),
        "-" if batch.file_in_flight is None else str(batch.file_in_flight),
        str(batch.rung),
        "-" if batch.done else _when(batch.next_ring),
    )
