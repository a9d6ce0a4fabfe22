"""The demo with --executor platform: the sample documents through an API deployment, extracted by the executor."""

from unstract_devstack.demo.judge import judge_samples
from unstract_devstack.demo.outcomes import Report
from unstract_devstack.demo.runs import Session, recounted, run_api
from unstract_devstack.executor import ExecutorStack
from unstract_devstack.multipart import Upload
from unstract_devstack.samples import DOCUMENTS, load_expectations

API_NAME = "documents"


def run_through_executor(session: Session, executor: ExecutorStack, report: Report) -> None:
    """Send the documents, judge every outcome, and compare the executor's bill: one extraction a file."""
    expected, platform = load_expectations(), session.platform
    workflow_id = platform.create_workflow(API_NAME, "api", expected.fields, use_file_history=False)
    registry_id = executor.service.export(expected.fields)
    platform.add_tool(workflow_id, "documents-tool", prompt_registry_id=registry_id)
    platform.create_api_deployment(workflow_id, API_NAME)
    uploads = [Upload(DOCUMENTS / name, name, (DOCUMENTS / name).stat().st_size) for name in expected.documents]
    outcome = run_api(session, "API deployment, platform executor", API_NAME, uploads, use_file_history=False)
    outcome = recounted(platform, outcome)
    report.add(outcome, judge_samples(outcome, expected.documents))
    bill = executor.bill.per_file(outcome.id)
    report.extractions = {"files": len(bill), "extractions": bill.total()}
    report.problems.extend(f"row {row}: {times} extractions" for row, times in bill.items() if times != 1)
