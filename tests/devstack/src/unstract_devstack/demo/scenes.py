"""What the demo runs: the sample documents in all ways, the same through the executor, or the user's own files."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from unstract_devstack.demo.inputs import InputFile, Inputs, in_batches
from unstract_devstack.demo.judge import (
    judge_counts,
    judge_own_files,
    judge_rows,
    judge_samples,
    judge_stopped,
    judge_webhooks,
)
from unstract_devstack.demo.report import ExecutionOutcome, FileOutcome, Report
from unstract_devstack.demo.runs import Session, recounted, run_api, run_pipeline
from unstract_devstack.executor import ExecutorStack
from unstract_devstack.multipart import FileChanged, Upload
from unstract_devstack.processes import wait_until
from unstract_devstack.samples import API_NAME, DOCUMENTS, INBOX, TABLE, Expectations, load_expectations, set_up_samples
from unstract_devstack.sink import Delivery

FEBRUARY = INBOX / "february"
REPAIRED_TABLE = "february_results"
WEBHOOK_SECONDS = 30.0
OWN_API_NAME = "your-files"
FILES_PER_EXECUTION = 100
# What the backend takes in one request, and what the extraction takes of one file.
BYTES_PER_EXECUTION = 64 * 1024 * 1024


def run_samples(session: Session, report: Report) -> None:
    """Runs documents, an inbox, the history, a repair, a stop and the webhooks, and judges every outcome."""
    expected = load_expectations()
    pipeline_id = set_up_samples(session.platform, session.stack.sink.url)
    uploads = [Upload.of(DOCUMENTS / name) for name in expected.documents]
    outcomes = [
        run_api(session, "API deployment", API_NAME, uploads, use_file_history=True),
        run_pipeline(session, "ETL pipeline", pipeline_id, INBOX.name, len(expected.inbox)),
        run_api(session, "API deployment again", API_NAME, uploads, use_file_history=True),
    ]
    outcomes += [*_repaired(session, expected), _stopped(session, uploads)]
    deliveries = _awaited_webhooks(session, outcomes)
    first, etl, again, failed, repaired, stopped = (recounted(session.platform, outcome) for outcome in outcomes)
    report.add(first, judge_samples(first, expected.documents))
    report.add(etl, [*judge_samples(etl, expected.inbox), *_destination_problems(session, expected)])
    report.add(again, [*judge_samples(again, expected.documents), *_history_problems(session, again)])
    report.add(failed, judge_counts(failed, "ERROR", failed.total, 0))
    rows = len(session.platform.destination_paths(REPAIRED_TABLE))
    wrong = [] if rows == repaired.total else [f"{rows} rows in the destination instead of {repaired.total}"]
    report.add(repaired, [*judge_counts(repaired, "COMPLETED", failed.total, failed.total), *wrong])
    report.add(stopped, judge_stopped(stopped))
    report.webhooks.extend(_described(delivery) for delivery in deliveries)
    report.problems.extend(judge_webhooks(_announced(deliveries), report.executions))


def run_through_executor(session: Session, executor: ExecutorStack, report: Report) -> None:
    """Send the documents, judge every outcome, and compare the executor's bill: one extraction a file."""
    expected, platform = load_expectations(), session.platform
    workflow_id = platform.create_workflow(API_NAME, "api", expected.fields, use_file_history=False)
    registry_id = executor.service.export(expected.fields)
    platform.add_tool(workflow_id, "documents-tool", prompt_registry_id=registry_id)
    platform.create_api_deployment(workflow_id, API_NAME)
    uploads = [Upload.of(DOCUMENTS / name) for name in expected.documents]
    outcome = run_api(session, "API deployment, platform executor", API_NAME, uploads, use_file_history=False)
    outcome = recounted(platform, outcome)
    report.add(outcome, judge_samples(outcome, expected.documents))
    bill = executor.bill.per_file(outcome.id)
    report.extractions = {"files": len(bill), "extractions": bill.total()}
    report.problems.extend(f"row {row}: {times} extractions" for row, times in bill.items() if times != 1)


def run_own_files(session: Session, inputs: Inputs, report: Report) -> None:
    """Sends all files, in as many executions as they need, and asks of each a result or a reason."""
    report.claim = "Every execution has ended, and every file has a result or a reason"
    fields = load_expectations().fields
    workflow_id = session.platform.create_workflow(OWN_API_NAME, "api", fields, use_file_history=False)
    session.platform.create_api_deployment(workflow_id, OWN_API_NAME)
    too_large = f"not sent: larger than the limit of {BYTES_PER_EXECUTION // 2**20} MiB"
    large = [file for file in inputs.files if file.size > BYTES_PER_EXECUTION]
    report.files.extend(FileOutcome(file.name, "Failed", too_large, None) for file in large)
    small = [file for file in inputs.files if file not in large]
    batches = list(in_batches(small, count=FILES_PER_EXECUTION, size=BYTES_PER_EXECUTION))
    for number, batch in enumerate(batches, start=1):
        title = "Your files" if len(batches) == 1 else f"Your files, part {number} of {len(batches)}"
        outcome = _run_batch(session, title, batch, report)
        if outcome is not None:
            report.add(outcome, judge_own_files(outcome))
    report.executions[:] = [recounted(session.platform, outcome) for outcome in report.executions]


def _run_batch(session: Session, title: str, batch: Sequence[InputFile], report: Report) -> ExecutionOutcome | None:
    """One execution; a file that changes while it is sent is left out, with that as its reason."""
    uploads = [Upload(file.path, file.name, file.size) for file in batch]
    while uploads:
        try:
            return run_api(session, title, OWN_API_NAME, uploads)
        except FileChanged as error:
            uploads.remove(error.upload)
            report.files.append(FileOutcome(error.upload.name, "Failed", str(error), None))
    return None


def _repaired(session: Session, expected: Expectations) -> list[ExecutionOutcome]:
    """A pipeline whose files all fail, and its next run after the cause is gone."""
    platform, dev = session.platform, session.stack.backend.dev
    workflow = platform.create_workflow(
        "february", "etl", expected.fields, source_folder=str(FEBRUARY), destination_table=REPAIRED_TABLE
    )
    pipeline_id = platform.create_pipeline(workflow, "february")
    platform.notify(f"{session.stack.sink.url}/hooks/repaired", pipeline_id=pipeline_id)
    files = sum(path.is_file() for path in FEBRUARY.iterdir())
    refused = json.dumps({"status": "error", "error": "An active platform key is required to run this workflow."})
    dev("POST", "faults", {"kind": "body", "path": "execute-file", "body": refused})
    failed = run_pipeline(session, "ETL without a platform key", pipeline_id, FEBRUARY.name, files)
    dev("DELETE", "faults")
    return [failed, run_pipeline(session, "ETL with its key again", pipeline_id, FEBRUARY.name, files)]


def _stopped(session: Session, uploads: Sequence[Upload]) -> ExecutionOutcome:
    """An API execution that its user stops in the middle: each further file takes a while."""
    dev = session.stack.backend.dev
    dev("POST", "faults", {"kind": "delay", "path": "execute-file", "delay": 1.0, "skip": 1})
    try:
        return run_api(session, "API stopped by its user", API_NAME, uploads, stopped=True)
    finally:
        dev("DELETE", "faults")


def _awaited_webhooks(session: Session, outcomes: Sequence[ExecutionOutcome]) -> list[Delivery]:
    """What the sink has, once every execution was announced or the wait is over."""
    ids, received = {outcome.id for outcome in outcomes}, session.stack.sink.received
    with session.narrator.bar("Webhooks", len(ids)):
        wait_until(lambda: ids <= set(_announced(received())), seconds=WEBHOOK_SECONDS, pause=0.1)
    session.narrator.step(f"Webhooks: {len(received())} delivered")
    return received()


def _announced(deliveries: Sequence[Delivery]) -> list[str]:
    """The executions that webhooks are about, one for each event."""
    return [str(event.get("execution_id")) for delivery in deliveries for event in _events(delivery)]


def _events(delivery: Delivery) -> list[dict[str, Any]]:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return list(json.loads(delivery.body)["events"])
    return []


def _described(delivery: Delivery) -> str:
    events = [f"{event.get('pipeline_name')} {event.get('status')}" for event in _events(delivery)]
    return f"{delivery.path}: {', '.join(events) or f'{len(delivery.body)} bytes'}"


def _history_problems(session: Session, again: ExecutionOutcome) -> list[str]:
    """Files that were worked on a second time although their first result is in the history."""
    successes = {file.name for file in again.files if file.status == "Success"}
    effects = session.platform.effects(again.id)
    repeated = {str(effect.detail.get("name")) for effect in effects if effect.operation == "files.execute"}
    return [f"{name}: worked on again in spite of its history" for name in sorted(successes & repeated)]


def _destination_problems(session: Session, expected: Expectations) -> list[str]:
    rows = session.platform.destination_paths(TABLE)
    return judge_rows([path.removeprefix(f"{INBOX.name}/") for path in rows], expected.inbox)
