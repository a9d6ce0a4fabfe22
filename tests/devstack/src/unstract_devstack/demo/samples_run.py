"""The sample documents, an inbox, the history, a repair, a stop and the webhooks; and, apart, through the executor."""

import contextlib
import json
from collections.abc import Iterator, Sequence

from unstract_devstack.demo.judge import judge_counts, judge_rows, judge_samples, judge_stopped, judge_webhooks
from unstract_devstack.demo.outcomes import ExecutionOutcome, Report
from unstract_devstack.demo.runs import Session, recounted, run_api, run_pipeline
from unstract_devstack.executor import ExecutorStack
from unstract_devstack.multipart import Upload
from unstract_devstack.processes import wait_until
from unstract_devstack.samples import DOCUMENTS, INBOX, Expectations, load_expectations
from unstract_devstack.sink import Delivery

API_NAME = "documents"
TABLE = "inbox_results"
FEBRUARY = INBOX / "february"
REPAIRED_TABLE = "february_results"
WEBHOOK_SECONDS = 30.0


def run_samples(session: Session, report: Report) -> None:
    """Runs all parts and judges every outcome."""
    expected = load_expectations()
    pipeline_id = _set_up(session, expected)
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
    report.add(failed, judge_counts(failed, "ERROR", 0))
    rows = len(session.platform.destination_paths(REPAIRED_TABLE))
    wrong = [] if rows == repaired.total else [f"{rows} rows in the destination instead of {repaired.total}"]
    report.add(repaired, [*judge_counts(repaired, "COMPLETED", failed.total), *wrong])
    report.add(stopped, judge_stopped(stopped))
    report.webhooks.extend(_described(delivery) for delivery in deliveries)
    announced = [execution_id for delivery in deliveries for execution_id in _announced(delivery)]
    report.problems.extend(judge_webhooks(announced, report.executions))


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


def _set_up(session: Session, expected: Expectations) -> str:
    """An API deployment, a pipeline and a webhook for each; returns the pipeline's id."""
    platform, sink = session.platform, session.stack.sink
    documents = platform.create_workflow("documents", "api", expected.fields, use_file_history=True)
    api_id = platform.create_api_deployment(documents, API_NAME)
    inbox = platform.create_workflow("inbox", "etl", expected.fields, source_folder=str(INBOX), destination_table=TABLE)
    pipeline_id = platform.create_pipeline(inbox, "inbox")
    platform.notify(f"{sink.url}/hooks/api", api_id=api_id)
    platform.notify(f"{sink.url}/hooks/pipeline", pipeline_id=pipeline_id)
    return pipeline_id


def _repaired(session: Session, expected: Expectations) -> list[ExecutionOutcome]:
    """A pipeline of which every file fails, and its next run right after what was missing is there."""
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
    ids = {outcome.id for outcome in outcomes}

    def all_announced() -> bool:
        deliveries = session.stack.sink.received()
        return ids <= {execution_id for delivery in deliveries for execution_id in _announced(delivery)}

    with session.narrator.bar("Webhooks", len(ids)):
        wait_until(all_announced, seconds=WEBHOOK_SECONDS, pause=0.1)
    deliveries = session.stack.sink.received()
    session.narrator.step(f"Webhooks: {len(deliveries)} delivered")
    return deliveries


def _announced(delivery: Delivery) -> Iterator[str]:
    """The executions that a webhook is about."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        for event in json.loads(delivery.body)["events"]:
            yield str(event["execution_id"])


def _described(delivery: Delivery) -> str:
    """One line about a webhook."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        events = json.loads(delivery.body)["events"]
        described = ", ".join(f"{event['pipeline_name']} {event['status']}" for event in events)
        return f"{delivery.path}: {described}"
    return f"{delivery.path}: {len(delivery.body)} bytes"


def _history_problems(session: Session, again: ExecutionOutcome) -> list[str]:
    """Files that were worked on a second time although their first result is in the history."""
    successes = {file.name for file in again.files if file.status == "Success"}
    effects = session.platform.effects(again.id)
    repeated = {str(effect.detail.get("name")) for effect in effects if effect.operation == "files.execute"}
    return [f"{name}: worked on again in spite of its history" for name in sorted(successes & repeated)]


def _destination_problems(session: Session, expected: Expectations) -> list[str]:
    rows = session.platform.destination_paths(TABLE)
    return judge_rows([path.removeprefix(f"{INBOX.name}/") for path in rows], expected.inbox)
